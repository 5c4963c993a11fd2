// Splits and bonus issues, of which no broker tells: set and taken back, for the lots of all accounts and for the past.

import { decide, say } from "./decisions.js";
import * as format from "./format.js";
import { all } from "./portfolios.js";
import { lines, put, Rows } from "./rows.js";

const AGAIN_MS = 5000; // the tables or the server were away
const NAME_MAX = 64; // the longest id of an action
const $ = (id) => document.getElementById(id);
const field = (name) => $("action-form").elements[name];
const shares = (count) => `${format.quantity(count)} ${Number(count) === 1 ? "share" : "shares"}`;

/** Events: "decided": an action was set or taken back. */
export class Actions extends EventTarget {
  #known = new Map();
  #asked = 0;
  #table = new Rows(
    $("action-rows"),
    [
      ["name", "Instrument", (cell, each) => instrument(cell, each)],
      ["", "Ex-day", (cell, each) => put(cell, each.day)],
      ["", "What", (cell, each) => put(cell, `${each.kind}, ${each.ratio_old} → ${each.ratio_new}`)],
      ["act", "", (cell) => button(cell)],
    ],
    (each) => each.action_id,
  );

  constructor() {
    super();
    $("action-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#set();
    });
    $("action-form").addEventListener("input", () => this.#say());
    $("action-rows").addEventListener("click", (event) => this.#back(event));
  }

  /** Ask for the actions. */
  async look() {
    const asked = ++this.#asked;
    const note = $("action-note");
    try {
      const { rows } = await all("/api/corporate-actions", "actions");
      if (asked !== this.#asked) return;
      this.#known = new Map(rows.map((each) => [same(each), each.action_id]));
      this.#table.show(rows.sort((a, b) => b.day.localeCompare(a.day) || a.tradingsymbol.localeCompare(b.tradingsymbol)));
      note.hidden = rows.length > 0;
      put(note, "None is set. Where a broker's shares stand in a ratio to yours, the account's divergences suggest one.");
    } catch (error) {
      if (asked !== this.#asked) return;
      note.hidden = false;
      put(note, error.status ? error.message : "The server does not answer.");
      if (error.status === 503 || !error.status) setTimeout(() => asked === this.#asked && this.look(), AGAIN_MS);
    }
  }

  /** Write a suggested action into the form. */
  fill(known) {
    $("action-form").reset();
    for (const name of ["kind", "exchange", "tradingsymbol", "day", "ratio_old", "ratio_new"]) field(name).value = known[name] ?? field(name).value;
    this.#say();
    $("actions").scrollIntoView({ block: "nearest" });
    field("day").focus();
  }

  #say() {
    const [before, after] = [field("ratio_old").value, field("ratio_new").value];
    put($("action-said"), before && after ? `${shares(before)} become ${shares(after)} on the morning of the ex-day.` : "", "said");
  }

  #set() {
    const value = (name) => field(name).value.trim();
    const body = {
      kind: value("kind"),
      exchange: value("exchange"),
      tradingsymbol: value("tradingsymbol").toUpperCase(),
      day: value("day"),
      ratio_old: Number(value("ratio_old")),
      ratio_new: Number(value("ratio_new")),
    };
    // There is one of a kind, an instrument and a day: who sets it again tells it anew.
    const slug = [body.kind, body.day, body.exchange, body.tradingsymbol].join("-").replace(/[^A-Za-z0-9_.-]+/g, "_");
    const sending = decide("/api/corporate-actions", { body: { ...body, action_id: this.#known.get(same(body)) ?? slug.slice(0, NAME_MAX) } });
    say($("action-said"), sending, () => {
      $("action-form").reset();
      return this.#decided();
    });
  }

  #back(event) {
    const each = event.target.closest("button") && this.#table.at(event.target);
    if (!each) return;
    const sending = decide(`/api/corporate-actions/${encodeURIComponent(each.action_id)}`, { method: "DELETE" });
    say($("action-said"), sending, () => this.#decided());
  }

  #decided() {
    this.dispatchEvent(new Event("decided"));
    return this.look();
  }
}

const same = (each) => [each.kind, each.day, each.exchange, each.tradingsymbol].join(" ");

function instrument(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.tradingsymbol);
  put(small, each.exchange);
  cell.title = each.action_id;
}

function button(cell) {
  if (!cell.children.length) cell.append(Object.assign(format.make("button", "small-button", "Take back"), { type: "button" }));
}
