// Where the books of an account and its broker do not agree: what each says, by what it was seen, and what to do next.

import * as format from "./format.js";
import { all } from "./portfolios.js";
import { lines, put, Rows } from "./rows.js";
import { when } from "./trading.js";

const KINDS = ["orders", "trades", "positions", "holdings"];
// What a type is to a person, and what he does next; docs/reconciliation.md says more of each.
const TYPES = {
  missing_fill: ["a fill is missing", "Pull again. If the fill never comes, tell it by hand, from the contract note."],
  manual_trade: [
    "traded elsewhere",
    "Bought elsewhere, transferred or allotted: tell by hand how it came. An order that somebody else placed needs nothing if you know of it.",
  ],
  corporate_action: ["split or bonus", "Set the corporate action below; its ex-day is on the exchange's site."],
  conversion: [
    "converted",
    "Tell two fills by hand, at the price at which it was open: out of one product, into the other.",
  ],
  expired: [
    "expired",
    "Tell the closing fill by hand: the contract note has the settlement price, 0 for an option that ended worthless.",
  ],
  quantity: ["quantity", "Look at the trades of this line, and tell by hand what is missing."],
  average_price: ["average price", "Compare with the contract note: a demerger, or a trade whose price was corrected."],
  pnl: ["profit and loss", "Compare with the contract note: a trade whose price was corrected."],
  charge: ["charges", "Look at the row of the tariff for this day: its rate and its source. Where the broker is right, set a tariff of your own."],
};
const CHARGE_FACTS = {
  day: ["Day", String],
  components: ["By kind", kinds],
  orders_count: ["Orders", format.quantity],
  note_answered_at: ["Broker asked", when],
};
const TELLABLE = new Set(["missing_fill", "manual_trade", "corporate_action", "conversion", "expired", "quantity"]);
const HIDDEN = new Set(["settling", "orders", "actions"]);
const FACTS = {
  unexplained: ["Unexplained", format.quantity],
  ratio: ["Theirs to ours", String],
  cost_is_kept: ["Cost the same", (value) => (value ? "yes" : "no: think of a transfer")],
  day: ["First seen", String],
  closed_by: ["Closed by", String],
  last_fill: ["Last fill", when],
  expiry_from: ["Expired from", String],
  expiry_to: ["Expired by", String],
  other_products: ["Elsewhere", (value) => Object.entries(value).map(([product, apart]) => `${product} ${format.quantity(apart)}`).join(", ")],
  reckoned_of: ["Reckoned of", String],
  quantity: ["Quantity", format.quantity],
  last_price: ["Last price", format.exact],
  bought: ["Bought today", format.quantity],
  sold: ["Sold today", format.quantity],
  moved_at_broker: ["Moved at the broker", when],
  newest_trade_answered_at: ["Our newest trade came", when],
  ...Object.fromEntries(KINDS.map((kind) => [`${kind}_answered_at`, [`${kind[0].toUpperCase()}${kind.slice(1)} told`, when]])),
};
const $ = (id) => document.getElementById(id);

/** Events: "tell" (detail: a fill to be told by hand, as far as it is known), "act" (detail: a corporate action). */
export class Divergences extends EventTarget {
  #open = new Map();
  #rows = [];
  #table = new Rows(
    $("divergences-rows"),
    [
      ["name", "Instrument", (cell, each) => instrument(cell, each)],
      ["pair", "What", (cell, each) => type(cell, each)],
      ["n", "Ours", (cell, each) => put(cell, figure(each)(each.ours))],
      ["n", "Theirs", (cell, each) => put(cell, figure(each)(each.theirs))],
      ["when wide", "Seen", (cell, each) => put(cell, when(each.observed_at))],
    ],
    key,
  );

  constructor() {
    super();
    const body = $("divergences-rows");
    body.addEventListener("click", (event) => this.#click(event));
    body.addEventListener("keydown", (event) => event.key === "Enter" && event.target.matches("tr") && this.#click(event));
  }

  news({ kinds }) {
    return KINDS.map((kind) => kinds[kind]?.synced_at ?? "never").join(" ");
  }

  clear() {
    this.#open.forEach((story) => story.remove());
    this.#open.clear();
    this.#table.show([]);
    put($("divergences-told"), "");
    this.#note("Loading…");
  }

  fail(error) {
    this.#note(error.status ? error.message : "The server does not answer.");
  }

  async load(_, account, isCurrent) {
    const { rows } = await all(`/accounts/${encodeURIComponent(account.account_id)}/reconciliation`, "divergences");
    if (!isCurrent()) return;
    this.#rows = rows.sort((a, b) => Number(a.settling) - Number(b.settling));
    this.#paint();
    const isAsked = account.kinds.positions || account.kinds.orders;
    if (rows.length) $("divergences-note").hidden = true;
    else this.#note(isAsked ? "Your books and the broker agree." : "The broker has not been asked yet.");
    const settling = rows.filter((each) => each.settling).length;
    put($("divergences-told"), settling ? `${settling} settling: one side moved after the other was asked, and the next pull settles it.` : "");
  }

  #paint() {
    const byKey = new Map(this.#rows.map((each) => [key(each), each]));
    const focused = [...this.#open].find(([, story]) => story.contains(document.activeElement))?.[0];
    this.#open.forEach((story) => story.remove());
    this.#table.show(this.#rows, (row, each) => {
      row.tabIndex = 0;
      row.ariaExpanded = String(this.#open.has(key(each)));
      row.classList.toggle("closed", each.settling);
    });
    for (const [name, story] of this.#open) {
      if (!byKey.has(name)) this.#open.delete(name);
      else {
        const place = [...story.querySelectorAll("button")].indexOf(document.activeElement);
        this.#table.element(name).after(story);
        this.#tell(story, byKey.get(name));
        if (name === focused) (story.querySelectorAll("button")[Math.max(0, place)] ?? this.#table.element(name)).focus();
      }
    }
  }

  #click(event) {
    const story = event.target.closest(".story");
    const each = story ? null : this.#table.at(event.target);
    if (!each) return;
    const name = key(each);
    const row = this.#table.element(name);
    const held = this.#open.get(name);
    row.ariaExpanded = String(!held);
    if (held) {
      held.remove();
      this.#open.delete(name);
      return;
    }
    const opened = format.make("tr", "story");
    opened.append(Object.assign(format.make("td"), { colSpan: row.cells.length }));
    this.#open.set(name, opened);
    row.after(opened);
    this.#tell(opened, each);
  }

  /** Write what a divergence was seen by, and what to do, with a button for what can be done here. */
  #tell(story, each) {
    const news = JSON.stringify(each);
    if (story.dataset.told === news) return;
    story.dataset.told = news;
    const [, advice] = TYPES[each.type] ?? ["", "docs/reconciliation.md says what it is."];
    const next = each.settling ? "It is settling: the next pull brings it into line, or lets it count." : advice;
    const acts = format.make("p", "acts");
    for (const action of each.evidence.actions ?? []) {
      const text = `Set a ${action.kind}: ${action.ratio_old} → ${action.ratio_new}`;
      acts.append(this.#button(text, "act", { ...action, exchange: each.exchange, tradingsymbol: each.tradingsymbol, day: each.evidence.day }));
    }
    if (TELLABLE.has(each.type)) acts.append(this.#button("Tell a fill by hand", "tell", fill(each)));
    story.firstElementChild.replaceChildren(format.make("p", "next", next), ...orders(each), facts(each), acts);
  }

  #button(text, name, detail) {
    const button = Object.assign(format.make("button", "small-button", text), { type: "button" });
    button.addEventListener("click", () => this.dispatchEvent(new CustomEvent(name, { detail })));
    return button;
  }

  #note(text) {
    $("divergences-note").hidden = false;
    put($("divergences-note"), text);
  }
}

function key(each) {
  return [each.exchange, each.tradingsymbol, each.product, each.type].join(" ");
}

function instrument(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.tradingsymbol);
  put(small, `${each.exchange} · ${each.product}`);
}

function type(cell, each) {
  const [name, small] = lines(cell);
  put(name, TYPES[each.type]?.[0] ?? each.type, each.settling ? "dim" : "warn");
  put(small, each.settling ? "settling" : "");
}

/** Both sides are quantities, but for a price and for rupees. */
const figure = (each) => ({ average_price: (value) => format.exact(value, each.exchange), pnl: format.money, charge: format.money })[each.type] ?? format.quantity;

function orders(each) {
  const told = (each.evidence.orders ?? []).map((order) => {
    if (each.type === "charge") return format.make("li", "", `order ${order.order_id}: ${costs(order)}`);
    const of = order.placed_by ? `placed by ${order.placed_by}` : `of which ${format.quantity(order.traded_quantity)} in trades`;
    const item = format.make("li");
    item.append(format.make("time", "dim", order.day), format.make("b", "", `order ${order.order_id}`));
    item.append(format.make("span", "", `${order.side} ${format.quantity(order.filled_quantity)} filled, ${of}`));
    return item;
  });
  if (!told.length) return [];
  const list = format.make("ol", "tale");
  list.append(...told);
  return [list];
}

function costs(order) {
  const what = `${order.side} ${format.quantity(order.quantity)} at ${format.exact(order.average_price)}`;
  return `${what} costs ${format.money(order.theirs)} by the broker, ${format.money(order.ours)} by ours`;
}

/** What is apart by half a paisa or more, of all kinds of charges. */
function kinds(components) {
  const apart = Object.entries(components).filter(([, both]) => Math.abs(both.ours - both.theirs) >= 0.005);
  return apart.map(([name, both]) => `${name.replaceAll("_", " ")} ${format.money(both.theirs)} for ${format.money(both.ours)}`).join(", ");
}

function facts(each) {
  const list = format.make("dl", "facts");
  for (const [name, value] of Object.entries(each.evidence)) {
    if (HIDDEN.has(name) || value === null) continue;
    const [title, write] = (each.type === "charge" && CHARGE_FACTS[name]) || FACTS[name] || [name.replaceAll("_", " "), (other) => (typeof other === "object" ? JSON.stringify(other) : String(other))];
    const pair = format.make("div");
    pair.append(format.make("dt", "", title), format.make("dd", "", write(value)));
    list.append(pair);
  }
  return list;
}

/** The fill that would bring our side to the broker's, as far as this is known: its price and its time are not. */
function fill(each) {
  const { evidence } = each;
  const named = { exchange: each.exchange, tradingsymbol: each.tradingsymbol, product: each.product, reason: each.type === "quantity" ? "" : TYPES[each.type][0] };
  if (each.type === "missing_fill" && evidence.orders) {
    const [order] = evidence.orders;
    return { ...named, side: order.side, quantity: order.filled_quantity - order.traded_quantity, order_id: order.order_id, day: order.day };
  }
  const apart = each.theirs - each.ours;
  return { ...named, side: apart < 0 ? "SELL" : "BUY", quantity: Math.abs(apart), day: evidence.expiry_to ?? "" };
}
