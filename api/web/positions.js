// An account's positions and holdings, at the live price where one is known.

import { ask } from "./door.js";
import * as format from "./format.js";
import { lines, put, Rows } from "./rows.js";
import { sum } from "./valuation.js";

const $ = (id) => document.getElementById(id);

export class Positions {
  #portfolios;
  #rows;
  #silent = [];

  constructor(portfolios) {
    $("position-receive").addEventListener("click", () => this.#receive());
    this.#portfolios = portfolios;
    this.#rows = new Rows(
      $("position-rows"),
      [
        ["name", "Instrument", (cell, line) => this.#name(cell, line)],
        ["n", "Quantity", (cell, line) => put(cell, format.quantity(line.quantity), `n ${line.quantity < 0 ? "down" : ""}`)],
        ["n wide", "Average", (cell, line) => put(cell, line.quantity ? format.exact(line.of.average_price, line.of.exchange) : "–")],
        ["n", "Last", (cell, line) => this.#last(cell, line)],
        ["n wide", "Day P&L", (cell, line) => put(cell, format.money(line.now.day), `n wide ${format.tone(line.now.day)}`)],
        ["n", "P&L", (cell, line) => put(cell, format.money(line.now.pnl), `n ${format.tone(line.now.pnl)}`)],
      ],
      (line) => line.key,
    );
  }

  news() {
    return ""; // the portfolios say by themselves when something came
  }

  async load(_, account) {
    this.show(account);
  }

  fail() {}

  clear() {
    this.#rows.show([]);
    $("position-note").hidden = false;
    put($("position-note"), "Loading…");
    put($("position-total"), "");
    put($("position-told"), "");
    put($("position-receive"), "Receive their prices");
    $("position-receive").hidden = true;
  }

  show(account) {
    const held = this.#portfolios.lines(account.account_id) ?? (account.kinds.positions || account.kinds.holdings ? null : []);
    if (!held) return;
    const order = (line) => (line.quantity ? (line.kind === "position" ? 0 : 1) : 2);
    const name = (line) => `${line.of.tradingsymbol} ${line.of.product}`;
    const found = held.sort((a, b) => order(a) - order(b) || name(a).localeCompare(name(b)));
    this.#rows.show(found, (row, line) => row.classList.toggle("closed", !line.quantity));
    $("position-note").hidden = found.length > 0;
    put($("position-note"), account.kinds.positions ? "No positions, no holdings." : "The broker has not been asked yet.");
    this.#totals(found);
    this.#told(found.filter((line) => !line.now.live));
  }

  #totals(found) {
    const of = (kind) => sum(found.filter((line) => line.kind === kind).map((line) => line.now));
    const parts = [["Positions", of("position")], ["Holdings", of("holding")]].filter(([, total]) => total.lines);
    const foot = $("position-total");
    if (foot.rows.length !== parts.length) {
      foot.replaceChildren(
        ...parts.map(() => {
          const row = format.make("tr");
          row.append(...["", "n", "n wide", "n", "n wide", "n"].map((className) => format.make("td", className)));
          return row;
        }),
      );
    }
    parts.forEach(([label, total], i) => {
      const cells = foot.rows[i].cells;
      put(cells[0], label);
      put(cells[4], format.money(total.day), `n wide ${format.tone(total.day)}`);
      put(cells[5], format.money(total.pnl), `n ${format.tone(total.pnl)}`);
    });
  }

  #told(told) {
    const at = told.map((line) => line.told).sort()[0];
    const text = told.length
      ? `${told.length} at the broker's price of ${format.time(new Date(at))}, marked °: no newer live price is known.`
      : "";
    put($("position-told"), text);
    this.#silent = told.filter((line) => !line.now.streamed && line.token).map((line) => line.token);
    $("position-receive").hidden = !this.#silent.length;
  }

  /** Have the ticker subscribe to what is held and has no price. */
  async #receive() {
    try {
      await ask("/api/instruments/subscribe", { method: "POST", body: { tokens: this.#silent } });
      put($("position-receive"), "Asked for: prices come with their next ticks");
    } catch (error) {
      put($("position-receive"), error.status ? error.message : "The server does not answer.");
    }
  }

  #name(cell, line) {
    const [name, small] = lines(cell);
    put(name, line.of.tradingsymbol);
    const held = line.kind === "holding" ? ["holding", line.of.t1_quantity ? `${format.quantity(line.of.t1_quantity)} T+1` : ""] : [line.of.product];
    put(small, [line.of.exchange, ...held, line.quantity ? "" : "closed"].filter(Boolean).join(" · "));
  }

  #last(cell, line) {
    put(cell, `${format.price(line.now.last, format.tickSize(line.of.exchange))}${line.now.live ? "" : " °"}`, line.now.live ? "n" : "n dim");
    cell.title = line.now.live ? "" : `the broker's price of ${format.time(new Date(line.told))}`;
  }
}
