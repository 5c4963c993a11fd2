// The accounts: how well each is known, what to do where it is not, and what it has won today.

import { ask } from "./door.js";
import * as format from "./format.js";
import { all } from "./portfolios.js";
import { dress } from "./pull.js";
import { lines, put, Rows } from "./rows.js";

const LIST_MS = 5000; // a pull takes seconds; a list of 200 accounts is 180 KB
const BUSY = 5; // a list that takes long is asked for this many times as seldom
const AGO_MS = 1000;
const SHOWN_MAX = 500; // a longer list is searched, not scrolled
const STATES = { ok: "live", partial: "waiting", failed: "lost", refused: "lost" };
const $ = (id) => document.getElementById(id);

/** Events: "listed" (detail: the accounts), "chosen" (detail: an account's id), "failed" (detail: the error). */
export class Roster extends EventTarget {
  accounts = [];
  #portfolios;
  #pulls;
  #rows;
  #timer = 0;
  #ticking = 0;
  #running = false;
  #asked = 0;
  #chosen = "";
  #only = "all";

  constructor(portfolios, pulls) {
    super();
    this.#portfolios = portfolios;
    this.#pulls = pulls;
    this.#rows = new Rows(
      $("account-rows"),
      [
        ["name", "Account", (cell, each) => this.#name(cell, each)],
        ["run", "Last pull", (cell, each) => this.#run(cell, each)],
        ["n", "Day P&L", (cell, each) => this.#figure(cell, each, "day")],
        ["n wide", "P&L", (cell, each) => this.#figure(cell, each, "pnl")],
        ["n wide", "Open", (cell, each) => put(cell, format.count(portfolios.total(each.account_id)?.open))],
        ["act wide", "", (cell, each) => this.#button(cell, each)],
      ],
      (each) => each.account_id,
    );
    portfolios.addEventListener("moved", (event) => {
      this.#rows.rewrite(event.detail);
      this.#figures();
    });
    pulls.addEventListener("done", (event) => {
      this.#rows.rewrite([event.detail]);
      if (pulls.of(event.detail)?.state !== "asked") this.look();
    });
    $("account-search").addEventListener("input", () => this.#show());
    $("account-rows").addEventListener("click", (event) => this.#click(event));
    $("account-rows").addEventListener("keydown", (event) => event.key === "Enter" && event.target.matches("tr") && this.#click(event));
    for (const tab of $("account-tabs").children) tab.addEventListener("click", () => this.#filter(tab));
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    clearInterval(this.#ticking);
    this.#ticking = setInterval(() => this.#rows.rewrite(this.accounts.map((each) => each.account_id)), AGO_MS);
    this.look();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    clearInterval(this.#ticking);
  }

  choose(account) {
    this.#chosen = account;
    this.#show();
  }

  /** Ask for the accounts now, and from then on every few seconds. */
  async look() {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    const began = performance.now();
    try {
      if (document.hidden && this.accounts.length) return;
      const { rows } = await all("/accounts", "accounts");
      if (asked !== this.#asked) return;
      this.accounts = rows.map((each) => ({ ...each, heard: Date.now() }));
      this.#portfolios.follow(this.accounts, this.#chosen);
      this.#show();
      this.dispatchEvent(new CustomEvent("listed", { detail: this.accounts }));
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    } finally {
      const wait = Math.max(LIST_MS, BUSY * (performance.now() - began));
      if (this.#running && asked === this.#asked) this.#timer = setTimeout(() => this.look(), wait);
    }
  }

  #filter(tab) {
    this.#only = tab.value;
    for (const each of $("account-tabs").children) each.ariaSelected = String(each === tab);
    this.#show();
  }

  #show() {
    const words = $("account-search").value.trim().toUpperCase().split(/\s+/).filter(Boolean);
    const text = (each) => `${each.account_id} ${each.name} ${each.broker} ${each.user}`.toUpperCase();
    const fits = (each) => words.every((word) => text(each).includes(word)) && (this.#only === "all" || !isWell(each));
    const found = this.accounts.filter(fits);
    this.#rows.show(found.slice(0, SHOWN_MAX), (row, each) => {
      row.tabIndex = 0;
      row.ariaSelected = String(each.account_id === this.#chosen);
    });
    const note = $("account-note");
    note.hidden = found.length > 0 && found.length <= SHOWN_MAX;
    note.textContent = !this.accounts.length
      ? "No account is known yet. Name yours in ACCOUNTS_FILE, or set KITE_API_KEY; bahi sync pulls them."
      : !found.length
        ? this.#only === "all"
          ? "Nothing fits the search."
          : "All accounts are well."
        : `${found.length - SHOWN_MAX} more: search to see them.`;
    this.#figures();
  }

  #figures() {
    const active = this.accounts.filter((each) => each.active);
    const ill = active.filter((each) => !isWell(each));
    const totals = active.map((each) => this.#portfolios.total(each.account_id)).filter(Boolean);
    const add = (name) => totals.reduce((all, each) => all + each[name], 0);
    const figure = (id, value, className, of) => {
      put($(`figure-${id}`), value, className);
      put($(`figure-${id}-of`), of);
    };
    figure("accounts", format.count(active.length), "", ill.length ? `${ill.length} not well` : active.length ? "all well" : "");
    $("figure-accounts-of").classList.toggle("warn", ill.length > 0);
    const part = totals.length < active.length ? `of ${totals.length} of ${active.length} accounts` : "";
    const told = !totals.length ? "" : add("told") ? `${format.count(add("told"))} by the broker's price` : "live";
    figure("day", totals.length ? format.brief(add("day")) : "–", format.tone(add("day")), part || told);
    figure("pnl", totals.length ? format.brief(add("pnl")) : "–", format.tone(add("pnl")), part || (totals.length ? "positions and holdings" : ""));
    figure("open", totals.length ? format.count(add("open")) : "–", "", totals.length ? "of both" : "");
    const ages = active.map((each) => each.age_seconds).filter((age) => age !== null);
    figure("age", ages.length ? format.span(Math.max(...ages) * 1000) : "–", "", ages.length ? "since all were asked" : "");
  }

  #name(cell, each) {
    const [name, small] = lines(cell);
    put(name, each.name || each.account_id);
    put(small, [each.name && each.account_id, each.broker, each.user !== each.account_id && each.user].filter(Boolean).join(" · "));
  }

  #run(cell, each) {
    if (!cell.firstElementChild) {
      const state = format.make("span", "state");
      state.append(format.make("i"), format.make("span"));
      cell.append(state, format.make("small"));
    }
    const [state, small] = cell.children;
    state.dataset.state = each.active ? (STATES[each.last_sync_status] ?? "unknown") : "idle";
    put(state.lastChild, outcome(each));
    const pull = this.#pulls.of(each.account_id);
    const why = remedy(each) ?? (pull?.state === "failed" ? pull.text : "");
    put(small, why, "warn");
    cell.title = why;
    small.hidden = !why;
  }

  #figure(cell, each, name) {
    const total = this.#portfolios.total(each.account_id);
    put(cell, total ? format.brief(total[name]) : "–", `${name === "pnl" ? "n wide" : "n"} ${format.tone(total?.[name] ?? 0)}`);
    cell.title = total?.told ? `${total.told} of ${total.lines} by the broker's price` : "";
  }

  #button(cell, each) {
    const button = cell.firstElementChild ?? cell.appendChild(Object.assign(format.make("button", "small-button"), { type: "button" }));
    button.hidden = !each.active;
    button.ariaLabel = `Pull ${each.account_id} now`;
    dress(button, this.#pulls.of(each.account_id));
  }

  #click(event) {
    const each = this.#rows.at(event.target);
    if (!each) return;
    if (event.target.closest("button")) this.#pulls.pull(each.account_id);
    else this.dispatchEvent(new CustomEvent("chosen", { detail: each.account_id }));
  }
}

/** Say whether an account's last run brought everything. */
export const isWell = (each) => !each.active || each.last_sync_status === "ok" || each.last_sync_status === null;

/** Say what came of an account's last run, and how long ago. */
export function outcome(each) {
  if (!each.active) return "not pulled any more";
  if (!each.last_sync_at) return "not pulled yet";
  // The server's clock says how old it was when it was heard; from then on this machine's counts.
  const { last_sync_at: at, age_seconds: age, kinds } = each;
  const oldest = Math.min(...Object.values(kinds).map((kind) => Date.parse(kind.asked_at)));
  const ago = age === null ? Date.now() - Date.parse(at) : Math.max(0, age * 1000 - (Date.parse(at) - oldest)) + Date.now() - each.heard;
  const failures = each.failures > 1 ? `, ${each.failures} times` : "";
  return `${each.last_sync_status}${failures}, ${format.ago(ago)}`;
}

/** Say what mends an account; null where nothing is wrong. */
export function remedy(each) {
  if (isWell(each) || !each.active) return null;
  if (each.last_sync_status === "refused") return `The broker refuses the token: ${each.remedy}, or bring today's token here`;
  return each.last_sync_error ?? "Some of it did not come.";
}
