// The fills of an account that are told by hand, because no answer of the broker ever will: told, listed, taken back.

import { decide, say } from "./decisions.js";
import * as format from "./format.js";
import { all } from "./portfolios.js";
import { lines, put, Rows } from "./rows.js";
import { strategy, when } from "./trading.js";

const NAME_MAX = 64; // the longest id of a fill
const SYMBOL_MAX = 24; // of a symbol in such an id: the time, the product and the quantity have to fit beside it
const FIELDS = ["exchange", "tradingsymbol", "product", "side", "quantity", "price", "order_id", "reason"];
const $ = (id) => document.getElementById(id);
const field = (name) => $("fill-form").elements[name];

/** Events: "decided": a fill was told or taken back. */
export class Corrections extends EventTarget {
  #account = "";
  #known = new Set();
  #table = new Rows(
    $("fills-rows"),
    [
      ["name", "Instrument", (cell, each) => instrument(cell, each)],
      ["when", "Time", (cell, each) => put(cell, when(each.time))],
      ["n pair", "Quantity", (cell, each) => figures(cell, each)],
      ["wide", "Strategy", (cell, each) => strategy(cell, { ...each, strategy_reason: each.reason })],
      ["act", "", (cell, each) => this.#button(cell, each)],
    ],
    (each) => each.fill_id,
  );

  constructor() {
    super();
    $("fill-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#tell();
    });
    $("fills-rows").addEventListener("click", (event) => this.#back(event));
  }

  news() {
    return ""; // it changes by what is decided, and then it is asked for again
  }

  clear() {
    $("fill-form").reset();
    put($("fill-said"), "", "said");
    this.#table.show([]);
    this.#note("Loading…");
  }

  fail(error) {
    this.#note(error.status ? error.message : "The server does not answer.");
  }

  async load(_, account, isCurrent) {
    this.#account = account.account_id;
    const { rows } = await all(this.#path(), "corrections");
    if (!isCurrent()) return;
    this.#known = new Set(rows.map((each) => each.fill_id));
    this.#table.show(rows.sort((a, b) => b.time.localeCompare(a.time)));
    if (rows.length) $("fills-note").hidden = true;
    else this.#note("No fill was told by hand.");
  }

  /** Write into the form what is known of a fill; what is not is left to its user. */
  fill(known) {
    $("fill-form").reset();
    put($("fill-said"), "The price and the time are yours to say.", "said");
    for (const name of FIELDS) field(name).value = known[name] ?? field(name).value;
    if (known.day) field("time").value = `${known.day}T15:30:00`;
    field("price").focus();
  }

  #path() {
    return `/accounts/${encodeURIComponent(this.#account)}/corrections`;
  }

  #tell() {
    const told = Object.fromEntries(FIELDS.map((name) => [name, field(name).value.trim()]));
    const time = field("time").value;
    const body = {
      ...told,
      fill_id: this.#name(told, time),
      quantity: Number(told.quantity),
      price: Number(told.price),
      time: `${time.length === 16 ? `${time}:00` : time}+05:30`,
      strategy_id: field("strategy").value.trim() || null,
    };
    say($("fill-said"), decide(this.#path(), { body }), () => {
      $("fill-form").reset(); // told once; the same again would be another fill
      this.#decided();
    });
  }

  /** Name a fill by what it says; one of a name that is there already is another fill, and gets a number. */
  #name(told, time) {
    const clock = time.replace(/\D/g, "").slice(0, 14);
    const slug = [clock, told.tradingsymbol.slice(0, SYMBOL_MAX), told.product, told.side, told.quantity].join("-").toUpperCase();
    const name = slug.replace(/[^A-Za-z0-9_.-]+/g, "_").slice(0, NAME_MAX - 4);
    let found = name;
    for (let more = 2; this.#known.has(found); more++) found = `${name}-${more}`;
    return found;
  }

  #back(event) {
    const each = event.target.closest("button") && this.#table.at(event.target);
    if (!each) return;
    const sending = decide(`${this.#path()}/${encodeURIComponent(each.fill_id)}`, { method: "DELETE" });
    say($("fill-said"), sending, () => this.#decided());
  }

  #decided() {
    this.dispatchEvent(new Event("decided"));
  }

  #button(cell, each) {
    if (!cell.children.length) cell.append(Object.assign(format.make("button", "small-button", "Take back"), { type: "button" }));
    cell.firstElementChild.title = each.fill_id;
  }

  #note(text) {
    $("fills-note").hidden = false;
    put($("fills-note"), text);
  }
}

function instrument(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.tradingsymbol);
  put(small, [each.exchange, each.product, each.order_id && `order ${each.order_id}`].filter(Boolean).join(" · "));
  cell.title = each.fill_id;
}

function figures(cell, each) {
  const [first, small] = lines(cell);
  put(first, `${each.side} ${format.quantity(each.quantity)}`, each.side === "BUY" ? "up" : "down");
  put(small, `at ${format.exact(each.price, each.exchange)}`);
}
