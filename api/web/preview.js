// What the drafted rules would change, all of them together: each strategy as it is and as it would be, and the trades
// that would change hands.

import { ask } from "./door.js";
import * as format from "./format.js";
import { lines, put, Rows } from "./rows.js";
import { money } from "./strategies.js";
import { when } from "./trading.js";

const TRADES = 50;
const AGAIN_MS = 5000; // the tables or the server were away
const $ = (id) => document.getElementById(id);

export class Preview {
  #asked = 0;
  #sides = new Rows(
    $("preview-rows"),
    [
      ["", "Strategy", (cell, each) => put(cell, each.strategy_id)],
      ["n", "Trades now", (cell, each) => put(cell, format.count(each.now?.trades ?? 0))],
      ["n", "then", (cell, each) => differing(cell, each, "trades", format.count)],
      ["n", "Net now", (cell, each) => money(cell, each.now?.net ?? 0, "n")],
      ["n", "then", (cell, each) => money(cell, each.drafted?.net ?? 0, `n${(each.now?.net ?? 0) === (each.drafted?.net ?? 0) ? "" : " other"}`)],
    ],
    (each) => each.strategy_id,
  );
  #moved = new Rows(
    $("moved-rows"),
    [
      ["name", "Trade", (cell, each) => trade(cell, each)],
      ["when", "Time", (cell, each) => put(cell, when(each.time))],
      ["", "Now", (cell, each) => put(cell, each.strategy_id)],
      ["", "Then", (cell, each) => put(cell, each.draft_strategy_id, "other")],
    ],
    (each) => `${each.account_id} ${each.day} ${each.exchange} ${each.order_id} ${each.trade_id}`,
  );

  /** Ask what the drafts would do; without any, nothing is shown. */
  async look() {
    const asked = ++this.#asked;
    try {
      const told = await ask(`/api/rules/preview?limit=${TRADES}`);
      if (asked !== this.#asked) return;
      $("preview").hidden = !told.drafts.length;
      this.#sides.show(told.strategies);
      this.#moved.show(told.trades);
      const drafts = told.drafts.length === 1 ? "1 draft" : `${told.drafts.length} drafts together`;
      const more = told.next ? `, the newest ${told.trades.length} below` : "";
      put($("preview-said"), `${drafts}: ${format.count(told.moved)} ${told.moved === 1 ? "trade" : "trades"} would change hands${more}`);
    } catch (error) {
      if (asked !== this.#asked) return;
      put($("preview-said"), error.status ? error.message : "The server does not answer.");
      if (error.status === 503 || !error.status) setTimeout(() => asked === this.#asked && this.look(), AGAIN_MS);
    }
  }
}

function differing(cell, each, name, write) {
  const now = each.now?.[name] ?? 0;
  const then = each.drafted?.[name] ?? 0;
  put(cell, write(then), now === then ? "n dim" : "n other");
}

function trade(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.tradingsymbol);
  put(small, `${each.account_id} · ${each.side} ${format.quantity(each.quantity)} at ${format.exact(each.price, each.exchange)}`);
}
