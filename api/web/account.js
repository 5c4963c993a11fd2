// One account in full: a tab for each thing that its broker tells of it. What is seen is asked for again when the broker
// was asked again.

import { Corrections } from "./corrections.js";
import { Divergences } from "./divergences.js";
import { ask } from "./door.js";
import * as format from "./format.js";
import { Funds } from "./funds.js";
import { dress } from "./pull.js";
import { outcome, remedy } from "./roster.js";
import { put } from "./rows.js";
import { Results } from "./results.js";
import { Runs } from "./runs.js";
import { Positions } from "./positions.js";
import { Orders, Trades } from "./trading.js";

const $ = (id) => document.getElementById(id);

/** Events: "close", "act" (detail: a corporate action that a divergence suggests). */
export class Account extends EventTarget {
  #portfolios;
  #pulls;
  #tabs;
  #tab = "positions";
  #account = null;
  #shown = "";
  #counted = "";
  #asked = 0;

  constructor(portfolios, pulls) {
    super();
    this.#portfolios = portfolios;
    this.#pulls = pulls;
    this.#tabs = {
      positions: new Positions(portfolios),
      orders: new Orders(),
      trades: new Trades(),
      results: new AccountResults(),
      funds: new Funds(),
      divergences: new Divergences(),
      fills: new Corrections(),
      runs: new Runs(),
    };
    const { divergences, fills } = this.#tabs;
    divergences.addEventListener("tell", (event) => {
      this.#choose("fills");
      fills.fill(event.detail);
    });
    divergences.addEventListener("act", (event) => this.dispatchEvent(new CustomEvent("act", { detail: event.detail })));
    fills.addEventListener("decided", () => this.again());
    for (const tab of $("account-parts").children) tab.addEventListener("click", () => this.#choose(tab.value));
    $("account-parts").addEventListener("keydown", (event) => this.#step(event));
    $("account-close").addEventListener("click", () => this.dispatchEvent(new Event("close")));
    $("account-pull").addEventListener("click", () => this.#account && pulls.pull(this.#account.account_id));
    $("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#bring($("token").value);
    });
    pulls.addEventListener("done", (event) => event.detail === this.#account?.account_id && this.#head());
    portfolios.addEventListener("moved", (event) => {
      if (!this.#account || !event.detail.has(this.#account.account_id)) return;
      this.#total();
      if (this.#tab === "positions") this.#tabs.positions.show(this.#account);
    });
    this.#mark();
  }

  /** Show an account as GET /accounts gives it; the same one again brings its news. */
  show(account) {
    const isOther = account.account_id !== this.#account?.account_id;
    this.#account = account;
    $("account").hidden = false;
    if (isOther) {
      this.#shown = "";
      this.#counted = "";
      $("token").value = "";
      for (const tab of Object.values(this.#tabs)) tab.clear();
    }
    this.#head();
    this.#total();
    this.#refresh();
    this.#count();
  }

  /** Ask again for what is seen: something was decided about its books. */
  again() {
    this.#shown = "";
    this.#counted = "";
    if (!this.#account) return;
    this.#refresh();
    this.#count();
  }

  hide() {
    this.#account = null;
    this.#asked += 1;
    $("account").hidden = true;
  }

  #choose(tab) {
    this.#tab = tab;
    this.#shown = "";
    this.#mark();
    if (this.#account) this.#refresh();
  }

  #step(event) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const tabs = [...$("account-parts").children];
    const next = tabs[(tabs.indexOf(event.target) + move + tabs.length) % tabs.length];
    next.focus();
    next.click();
  }

  #mark() {
    for (const tab of $("account-parts").children) {
      const isNow = tab.value === this.#tab;
      tab.ariaSelected = String(isNow);
      tab.tabIndex = isNow ? 0 : -1;
      $(tab.getAttribute("aria-controls")).hidden = !isNow;
    }
  }

  #head() {
    const each = this.#account;
    const pull = this.#pulls.of(each.account_id);
    put($("account-title"), each.name || each.account_id);
    put($("account-name"), [each.name && each.account_id, each.broker, each.user, outcome(each)].filter(Boolean).join(" · "));
    dress($("account-pull"), pull);
    $("account-pull").hidden = !each.active;
    const why = (remedy(each) ?? pull?.text) ?? "";
    $("token-form").hidden = !each.active || each.last_sync_status !== "refused";
    put($("account-said"), why, pull?.state === "failed" || remedy(each) ? "said warn" : "said");
  }

  /** Put today's token into the vault; the worker takes it by itself, and then pulls. */
  async #bring(token) {
    const { account_id: account } = this.#account;
    try {
      await ask(`/accounts/${encodeURIComponent(account)}/token`, { method: "PUT", body: { access_token: token } });
      $("token").value = "";
      await this.#pulls.pull(account);
    } catch (error) {
      put($("account-said"), error.status ? error.message : "The server does not answer.", "said warn");
    }
  }

  #total() {
    const total = this.#portfolios.total(this.#account.account_id);
    put($("account-pnl"), total ? format.brief(total.day) : "–", format.tone(total?.day ?? 0));
    put($("account-pnl-of"), "day P&L");
  }

  /** Say on its tab how much does not agree, whatever tab is seen. */
  async #count() {
    const { account_id: account } = this.#account;
    const news = `${account} ${this.#tabs.divergences.news(this.#account)}`;
    if (news === this.#counted) return;
    this.#counted = news;
    const badge = $("divergences-count");
    try {
      const { counts } = await ask(`/accounts/${encodeURIComponent(account)}/reconciliation?limit=1`);
      if (news !== this.#counted) return;
      const count = Object.values(counts).reduce((sum, each) => sum + each, 0);
      badge.hidden = !count;
      put(badge, count ? ` ${format.count(count)}` : "");
    } catch {
      if (news !== this.#counted) return;
      this.#counted = ""; // the next look at the account asks again
      badge.hidden = true;
    }
  }

  /** Ask for what the tab shows, where the broker has answered since. */
  async #refresh() {
    const tab = this.#tab;
    const account = this.#account;
    const news = `${tab} ${account.account_id} ${this.#tabs[tab].news(account)}`;
    if (news === this.#shown) return;
    this.#shown = news;
    const asked = ++this.#asked;
    try {
      const path = `/accounts/${encodeURIComponent(account.account_id)}`;
      await this.#tabs[tab].load((way) => ask(way.startsWith("/") ? way : `${path}/${way}`), account, () => asked === this.#asked);
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#shown = ""; // the next look at the account asks again
      this.#tabs[tab].fail(error);
    }
  }
}

/** The results of an account as one of its tabs. */
class AccountResults {
  #results = new Results($("part-results"));
  #account = "";

  news(account) {
    return `${account.trades_count} ${account.kinds.trades?.synced_at ?? "never"}`;
  }

  load(_, { account_id: account }) {
    const isOther = account !== this.#account;
    this.#account = account;
    return this.#results.show({ account }, isOther);
  }

  clear() {}

  fail(error) {
    this.#account = ""; // it begins anew
    this.#results.fail(error);
  }
}
