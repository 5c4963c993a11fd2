// An account's orders and trades, the newest first. An order opens to its story: the states in which it was seen, its
// trades, and why it belongs to its strategy.

import { assignment } from "./assign.js";
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

  /** Ask for the newest page once more. */
  reload() {
    return this.load(this.#ask, null, this.#isCurrent);
  }

  async load(asking, _, isCurrent) {
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

/** A list whose rows open to a story below them. */
class Stories extends Listing {
  #table;
  #open = new Map();
  #told = new Map();

  constructor(name, columns) {
    super(name, () => `${name}?`);
    this.#table = new Rows($(`${name}-rows`), columns, (each) => this.key(each));
    $(`${name}-rows`).addEventListener("click", (event) => this.#toggle(event));
    $(`${name}-rows`).addEventListener("keydown", (event) => event.key === "Enter" && event.target.matches("tr") && this.#toggle(event));
  }

  paint(rows) {
    const byKey = new Map(rows.map((each) => [this.key(each), each]));
    for (const [key, story] of this.#open) {
      if (byKey.has(key)) continue;
      story.remove();
      this.#open.delete(key);
    }
    const isTyping = [...this.#open.values()].some((story) => story.contains(document.activeElement));
    if (isTyping) return; // nothing moves below the hand
    this.#open.forEach((story) => story.remove());
    this.#table.show(this.sorted(rows), (row, each) => {
      row.tabIndex = 0;
      row.ariaExpanded = String(this.#open.has(this.key(each)));
    });
    for (const [key, story] of this.#open) {
      this.#table.element(key).after(story);
      this.#tell(byKey.get(key), story);
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

  /** Write the story; what it tells is asked for again only when it was told otherwise. */
  async #tell(each, story, again = false) {
    const path = `/accounts/${encodeURIComponent(each.account_id)}/orders/${encodeURIComponent(each.order_id)}?day=${each.day}`;
    const news = JSON.stringify(each);
    if (!again && this.#told.get(story) === news) return;
    this.#told.set(story, news);
    try {
      const told = await ask(path);
      story.firstElementChild.replaceChildren(...this.tale(told, each, () => Promise.all([this.#tell(each, story, true), this.reload()])));
    } catch (error) {
      this.#told.delete(story);
      story.firstElementChild.replaceChildren(format.make("p", "warn", error.status ? error.message : "The server does not answer."));
    }
  }
}

export class Orders extends Stories {
  nothing = "No orders are known.";

  constructor() {
    super("orders", [
      ["name", "Instrument", instrument],
      ["n pair", "Filled of", (cell, each) => side(cell, each, `${format.quantity(each.filled_quantity)} / ${format.quantity(each.quantity)}`, price(each))],
      ["status", "Status", (cell, each) => status(cell, each)],
      ["wide", "Strategy", strategy],
    ]);
  }

  key(each) {
    return `${each.day} ${each.order_id}`;
  }

  /** What is open comes first. */
  sorted(rows) {
    return [...rows.filter((each) => !LAST.has(each.status)), ...rows.filter((each) => LAST.has(each.status))];
  }

  tale({ order, history, trades }, _, again) {
    return [facts(order), steps(history, trades), belongs(order), assignment(order, again)];
  }
}

export class Trades extends Stories {
  nothing = "No trades are known.";

  constructor() {
    super("trades", [
      ["name", "Instrument", instrument],
      ["when", "Time", (cell, each) => put(cell, when(each.time))],
      ["n pair", "Quantity", (cell, each) => side(cell, each, format.quantity(each.quantity), `at ${format.exact(each.price, each.exchange)}`)],
      ["n wider", "Order", (cell, each) => put(cell, each.order_id)],
      ["wide", "Strategy", strategy],
    ]);
  }

  key(each) {
    return `${each.day} ${each.exchange} ${each.order_id} ${each.trade_id}`;
  }

  sorted(rows) {
    return rows;
  }

  tale({ order, history, trades }, each, again) {
    const now = trades.find((trade) => this.key(trade) === this.key(each)) ?? each;
    return [facts(order), steps(history, trades), belongs(now), assignment(now, again)];
  }
}

function price(each) {
  if (each.average_price) return `at ${format.exact(each.average_price, each.exchange)}`;
  const at = each.price ? `at ${format.exact(each.price, each.exchange)}` : "at market";
  return each.trigger_price ? `${at} from ${format.exact(each.trigger_price, each.exchange)}` : at;
}

function status(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.status, LAST.has(each.status) ? TONES[each.status] : "warn");
  put(small, when(each.created_at ?? each.observed_at));
  cell.title = each.status_message ?? "";
}

function facts(order) {
  const tags = order.tags.length ? `tags ${order.tags.join(", ")}` : "";
  const text = [`order ${order.order_id}`, order.exchange_order_id && `exchange ${order.exchange_order_id}`, tags, order.variety].filter(Boolean).join(" · ");
  return format.make("p", "dim", text);
}

function steps(history, trades) {
  const list = format.make("ol", "tale");
  const told = [
    ...history.map((each) => ({
      at: each.told_at ?? each.observed_at,
      text: each.status,
      more: `${format.quantity(each.filled_quantity)} of ${format.quantity(each.quantity)}${each.average_price ? ` at ${format.exact(each.average_price, each.exchange)}` : ""}${each.status_message ? `: ${each.status_message}` : ""}`,
    })),
    ...trades.map((each) => ({ at: each.time, text: "trade", more: `${format.quantity(each.quantity)} at ${format.exact(each.price, each.exchange)}, number ${each.trade_id}` })),
  ].sort((a, b) => a.at.localeCompare(b.at));
  for (const { at, text, more } of told) {
    const item = format.make("li");
    item.append(format.make("time", "dim", when(at)), format.make("b", "", text), format.make("span", "", more));
    list.append(item);
  }
  return list;
}

function belongs(each) {
  const why = each.strategy_id ? `Belongs to ${each.strategy_id}: ${each.strategy_reason}.` : "Belongs to no strategy: no rule and no tag names one.";
  return format.make("p", "", why);
}
