// An account's orders and trades, the newest first. An order opens to its story: the states in which it was seen, its
// trades, and why it belongs to its strategy.

import { ask } from "./door.js";
import * as format from "./format.js";
import { lines, put, Rows } from "./rows.js";

const PAGE = 100;
const TONES = { COMPLETE: "up", REJECTED: "down", CANCELLED: "dim" };
const LAST = new Set(Object.keys(TONES));
const $ = (id) => document.getElementById(id);

/** The time of today, else the day before it. */
export function when(text) {
  const at = new Date(text);
  return format.isoDay(at) === format.isoDay(new Date()) ? format.time(at) : `${format.date(at)} ${format.time(at)}`;
}

/** A list that grows page by page, and whose first page is asked for again when something came. */
class Listing {
  #name;
  #way;
  #rows = [];
  #next = null;
  #ask = null;
  #isCurrent = () => false;

  constructor(name, way) {
    this.#name = name;
    this.#way = way;
    $(`${name}-more`).addEventListener("click", () => this.#more());
  }

  news(account) {
    return account.kinds[this.#name]?.synced_at ?? "never";
  }

  clear() {
    this.#rows = [];
    this.#next = null;
    this.paint([]);
    this.#note("Loading…");
    $(`${this.#name}-more`).hidden = true;
  }

  fail(error) {
    if (!this.#rows.length) this.#note(error.status ? error.message : "The server does not answer.");
  }

  async load(asking, account, isCurrent) {
    this.#ask = asking;
    this.#isCurrent = isCurrent;
    const page = await asking(`${this.#way()}&limit=${PAGE}`);
    if (!isCurrent()) return;
    const newest = page[this.#name];
    const known = new Set(newest.map(this.key));
    const older = this.#rows.length > newest.length ? this.#rows.filter((each) => !known.has(this.key(each))) : [];
    this.#rows = page.next ? [...newest, ...older] : newest;
    if (!older.length || !page.next) this.#next = page.next;
    this.#show();
  }

  async #more() {
    const page = await this.#ask(`${this.#way()}&limit=${PAGE}&cursor=${encodeURIComponent(this.#next)}`).catch(() => null);
    if (!page || !this.#isCurrent()) return;
    this.#rows = [...this.#rows, ...page[this.#name]];
    this.#next = page.next;
    this.#show();
  }

  #show() {
    this.paint(this.#rows);
    $(`${this.#name}-more`).hidden = !this.#next;
    if (this.#rows.length) $(`${this.#name}-note`).hidden = true;
    else this.#note(this.nothing);
  }

  #note(text) {
    $(`${this.#name}-note`).hidden = false;
    put($(`${this.#name}-note`), text);
  }
}

function instrument(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.tradingsymbol);
  put(small, [each.exchange, each.product, each.order_type, each.validity === "DAY" ? "" : each.validity].filter(Boolean).join(" · "));
}

function side(cell, each, quantity, price) {
  const [first, small] = lines(cell);
  put(first, `${each.side} ${quantity}`, each.side === "BUY" ? "up" : "down");
  put(small, price);
}

/** Write the strategy, and under it why. */
export function strategy(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.strategy_id ?? "none", each.strategy_id ? "" : "dim");
  put(small, each.strategy_reason || (each.tags?.length ? `tag ${each.tags.join(", ")}` : ""));
}

export class Orders extends Listing {
  nothing = "No orders are known.";
  #table;
  #open = new Map();

  constructor() {
    super("orders", () => "orders?");
    this.#table = new Rows(
      $("orders-rows"),
      [
        ["name", "Instrument", instrument],
        ["n pair", "Filled of", (cell, each) => side(cell, each, `${format.quantity(each.filled_quantity)} / ${format.quantity(each.quantity)}`, price(each))],
        ["status", "Status", (cell, each) => status(cell, each)],
        ["wide", "Strategy", strategy],
      ],
      this.key,
    );
    $("orders-rows").addEventListener("click", (event) => this.#toggle(event));
    $("orders-rows").addEventListener("keydown", (event) => event.key === "Enter" && event.target.matches("tr") && this.#toggle(event));
  }

  key = (each) => `${each.day} ${each.order_id}`;

  paint(rows) {
    const open = rows.filter((each) => !LAST.has(each.status));
    for (const [key, story] of this.#open) {
      story.remove();
      if (!rows.some((each) => this.key(each) === key)) this.#open.delete(key);
    }
    this.#table.show([...open, ...rows.filter((each) => LAST.has(each.status))], (row, each) => {
      row.tabIndex = 0;
      row.ariaExpanded = String(this.#open.has(this.key(each)));
    });
    for (const [key, story] of this.#open) {
      this.#table.element(key).after(story);
      this.#tell(rows.find((each) => this.key(each) === key), story);
    }
  }

  #toggle(event) {
    const each = event.target.closest(".story") ? null : this.#table.at(event.target);
    if (!each) return;
    const key = this.key(each);
    const row = this.#table.element(key);
    const held = this.#open.get(key);
    row.ariaExpanded = String(!held);
    if (held) {
      held.remove();
      this.#open.delete(key);
      return;
    }
    const story = format.make("tr", "story");
    const cell = format.make("td");
    cell.colSpan = row.cells.length;
    cell.append(format.make("p", "dim", "Loading…"));
    story.append(cell);
    this.#open.set(key, story);
    row.after(story);
    this.#tell(each, story);
  }

  async #tell(each, story) {
    const path = `/accounts/${encodeURIComponent(each.account_id)}/orders/${encodeURIComponent(each.order_id)}?day=${each.day}`;
    try {
      const told = await ask(path);
      story.firstElementChild.replaceChildren(...tale(told));
    } catch (error) {
      story.firstElementChild.replaceChildren(format.make("p", "warn", error.status ? error.message : "The server does not answer."));
    }
  }
}

export class Trades extends Listing {
  nothing = "No trades are known.";
  #table;

  constructor() {
    super("trades", () => "trades?");
    this.#table = new Rows(
      $("trades-rows"),
      [
        ["name", "Instrument", instrument],
        ["when", "Time", (cell, each) => put(cell, when(each.time))],
        ["n pair", "Quantity", (cell, each) => side(cell, each, format.quantity(each.quantity), `at ${format.exact(each.price)}`)],
        ["n wider", "Order", (cell, each) => put(cell, each.order_id)],
        ["wide", "Strategy", strategy],
      ],
      this.key,
    );
  }

  key = (each) => `${each.day} ${each.exchange} ${each.order_id} ${each.trade_id}`;

  paint(rows) {
    this.#table.show(rows);
  }
}

function price(each) {
  if (each.average_price) return `at ${format.exact(each.average_price)}`;
  const at = each.price ? `at ${format.exact(each.price)}` : "at market";
  return each.trigger_price ? `${at} from ${format.exact(each.trigger_price)}` : at;
}

function status(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.status, LAST.has(each.status) ? TONES[each.status] : "warn");
  put(small, when(each.created_at ?? each.observed_at));
  cell.title = each.status_message ?? "";
}

function tale({ order, history, trades }) {
  const facts = format.make("p", "dim");
  put(facts, [`order ${order.order_id}`, order.exchange_order_id && `exchange ${order.exchange_order_id}`, order.tags.length && `tags ${order.tags.join(", ")}`, order.variety].filter(Boolean).join(" · "));
  const list = format.make("ol", "tale");
  const steps = [
    ...history.map((each) => ({
      at: each.told_at ?? each.observed_at,
      text: each.status,
      more: `${format.quantity(each.filled_quantity)} of ${format.quantity(each.quantity)}${each.average_price ? ` at ${format.exact(each.average_price)}` : ""}${each.status_message ? `: ${each.status_message}` : ""}`,
    })),
    ...trades.map((each) => ({ at: each.time, text: "trade", more: `${format.quantity(each.quantity)} at ${format.exact(each.price)}, number ${each.trade_id}` })),
  ].sort((a, b) => a.at.localeCompare(b.at));
  for (const { at, text, more } of steps) {
    const item = format.make("li");
    item.append(format.make("time", "dim", when(at)), format.make("b", "", text), format.make("span", "", more));
    list.append(item);
  }
  const why = order.strategy_id ? `Belongs to ${order.strategy_id}: ${order.strategy_reason}.` : "Belongs to no strategy: no rule and no tag names one.";
  return [facts, list, format.make("p", "", why)];
}
