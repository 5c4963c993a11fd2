// One strategy in full: what is open, its trades with what each won and cost, its results by day, what is said of it.

import { decide, say } from "./decisions.js";
import { ask } from "./door.js";
import * as format from "./format.js";
import { Results } from "./results.js";
import { lines, put, Rows } from "./rows.js";
import { money } from "./strategies.js";
import { when } from "./trading.js";

const TRADES = 100;
const $ = (id) => document.getElementById(id);

/** Events: "changed": it was described anew. */
export class Strategy extends EventTarget {
  #results = new Results($("strategy-results"));
  #tab = "open";
  #each = null;
  #of = "";
  #asked = 0;
  #open = new Rows(
    $("strategy-open"),
    [
      ["name", "Instrument", (cell, line) => instrument(cell, line, line.product)],
      ["wide", "Account", (cell, line) => put(cell, line.account_id)],
      ["n", "Quantity", (cell, line) => put(cell, format.quantity(line.quantity), line.quantity < 0 ? "n down" : "n")],
      ["n wide", "Opened at", (cell, line) => put(cell, format.exact(line.fifo_price, line.exchange))],
      ["n", "Last", (cell, line) => last(cell, line)],
      ["n", "Unrealised", (cell, line) => money(cell, line.unrealised, "n")],
    ],
    (line) => `${line.account_id} ${line.exchange} ${line.tradingsymbol} ${line.product}`,
  );
  #trades = new Rows(
    $("strategy-trades"),
    [
      ["name", "Instrument", (cell, each) => instrument(cell, each, each.account_id)],
      ["when", "Time", (cell, each) => put(cell, when(each.time))],
      ["n", "Quantity", (cell, each) => put(cell, `${each.side} ${format.quantity(each.quantity)}`, each.side === "BUY" ? "n up" : "n down")],
      ["n wide", "Price", (cell, each) => put(cell, format.exact(each.price, each.exchange))],
      ["n", "Realised", (cell, each) => money(cell, each.realised, "n")],
      ["n wide", "Charges", (cell, each) => put(cell, format.price(each.charges))],
      ["wider", "Why", (cell, each) => put(cell, each.strategy_reason)],
    ],
    (each) => `${each.account_id} ${each.day} ${each.exchange} ${each.order_id} ${each.trade_id}`,
  );

  constructor() {
    super();
    for (const tab of $("strategy-parts").children) tab.addEventListener("click", () => this.#choose(tab.value));
    $("describe").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#describe();
    });
    this.#mark();
  }

  /** Show a strategy with its figures, of an account or of all; the same one again brings its news. */
  show(each, account) {
    const of = `${each.strategy_id} ${account}`;
    const isOther = of !== this.#of;
    this.#each = { ...each, account };
    this.#of = of;
    $("strategy").hidden = false;
    $("view-strategies").classList.add("split");
    put($("strategy-title"), each.name || each.strategy_id);
    const named = each.strategy_id === "none" || each.described ? "" : "only a tag or a rule names it";
    put($("strategy-about"), [each.name && each.strategy_id, each.description, named, each.active ? "" : "not active", account && `in ${account}`].filter(Boolean).join(" · "));
    put($("strategy-net"), format.brief(each.all?.net), format.tone(each.all?.net));
    if (isOther) {
      this.#open.show([]);
      this.#trades.show([]);
      this.#fill();
    }
    this.#refresh(isOther);
  }

  hide() {
    this.#asked += 1;
    this.#each = null;
    this.#of = "";
    $("strategy").hidden = true;
    $("view-strategies").classList.remove("split");
  }

  #choose(tab) {
    this.#tab = tab;
    this.#mark();
    if (this.#each) this.#refresh(true);
  }

  #mark() {
    for (const tab of $("strategy-parts").children) {
      tab.ariaSelected = String(tab.value === this.#tab);
      $(tab.getAttribute("aria-controls")).hidden = tab.value !== this.#tab;
    }
  }

  async #refresh(isOther) {
    const { strategy_id: strategy, account } = this.#each;
    const id = encodeURIComponent(strategy);
    const asked = ++this.#asked;
    const of = account ? `&account_id=${encodeURIComponent(account)}` : "";
    if (isOther) this.#note("Loading…");
    try {
      if (this.#tab === "open") {
        const { open } = await ask(`/analytics/strategy/${id}/pnl?${of}`);
        if (asked !== this.#asked) return;
        this.#open.show(open);
        this.#note(open.length ? "" : "Nothing is open.");
      } else if (this.#tab === "trades") {
        const { trades, next } = await ask(`/analytics/strategy/${id}/trades?limit=${TRADES}${of}`);
        if (asked !== this.#asked) return;
        this.#trades.show(trades);
        this.#note(trades.length ? (next ? `The newest ${TRADES}; the others are in GET /analytics/strategy/${id}/trades.` : "") : "It has no trades.");
      } else if (this.#tab === "results") {
        this.#note("");
        await this.#results.show({ strategy, account }, isOther).catch((error) => this.#results.fail(error));
      } else this.#note("");
    } catch (error) {
      if (asked === this.#asked) this.#note(error.status ? error.message : "The server does not answer.");
    }
  }

  #note(text) {
    $("strategy-part-note").hidden = !text;
    put($("strategy-part-note"), text);
  }

  #fill() {
    const each = this.#each;
    $("describe-name").value = each.name;
    $("describe-text").value = each.description;
    $("describe-active").checked = each.active;
    for (const field of $("describe").elements) field.disabled = each.strategy_id === "none";
    put($("describe-said"), each.strategy_id === "none" ? "What belongs to no strategy needs no words." : "", "said");
  }

  #describe() {
    const body = {
      strategy_id: this.#each.strategy_id,
      name: $("describe-name").value.trim(),
      description: $("describe-text").value.trim(),
      active: $("describe-active").checked,
    };
    say($("describe-said"), decide("/api/strategies", { body }), () => this.dispatchEvent(new Event("changed")));
  }
}

function instrument(cell, each, also) {
  const [name, small] = lines(cell);
  put(name, each.tradingsymbol);
  put(small, `${each.exchange} · ${also}`);
}

function last(cell, line) {
  const isLive = line.price_from === "live";
  put(cell, `${format.exact(line.last_price, line.exchange)}${isLive || line.last_price === null ? "" : " °"}`, isLive ? "n" : "n dim");
  cell.title = isLive ? "" : line.price_at ? `the broker's price of ${when(line.price_at)}` : "nobody told a price";
}
