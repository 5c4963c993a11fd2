// The strategies: which there are, and what each has won, in all accounts or in one. What belongs to none is one of them,
// so that the parts add up to the whole.

import { decide, say } from "./decisions.js";
import { ask } from "./door.js";
import * as format from "./format.js";
import { nameStrategies } from "./rules.js";
import { lines, put, Rows } from "./rows.js";

const LIST_MS = 5000; // figures follow trades and prices
const BUSY = 5; // where they take long, they are asked for this many times as seldom
const $ = (id) => document.getElementById(id);

/** Events: "chosen" (detail: a strategy's id), "listed" (detail: the strategies, and the account they are of). */
export class Strategies extends EventTarget {
  #known = [];
  #figures = null;
  #timer = 0;
  #running = false;
  #asked = 0;
  #chosen = "";
  #rows = new Rows(
    $("strategy-rows"),
    [
      ["name", "Strategy", (cell, each) => name(cell, each)],
      ["n", "Today", (cell, each) => money(cell, each.today?.realised, "n")],
      ["n wide", "Realised", (cell, each) => money(cell, each.all?.realised, "n wide")],
      ["n wider", "Unrealised", (cell, each) => money(cell, each.all?.unrealised, "n wider")],
      ["n wide", "Charges", (cell, each) => put(cell, each.all ? format.price(each.all.charges) : "–")],
      ["n", "Net", (cell, each) => money(cell, each.all?.net, "n")],
      ["n wide", "Open", (cell, each) => put(cell, each.all ? format.count(each.all.open_lines) : "–")],
    ],
    (each) => each.strategy_id,
  );

  constructor() {
    super();
    const pick = (event) => {
      const each = this.#rows.at(event.target);
      if (each) this.dispatchEvent(new CustomEvent("chosen", { detail: each.strategy_id }));
    };
    $("strategy-rows").addEventListener("click", pick);
    $("strategy-rows").addEventListener("keydown", (event) => event.key === "Enter" && pick(event));
    $("strategy-search").addEventListener("input", () => this.#show());
    $("strategy-account").addEventListener("change", () => this.look());
    $("strategy-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.look();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  choose(id) {
    this.#chosen = id;
    this.#show();
  }

  async look() {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    const account = $("strategy-account").value;
    const of = account ? `account_id=${encodeURIComponent(account)}&` : "";
    const began = performance.now();
    try {
      if (document.hidden && this.#figures) return;
      // One after the other: each takes several of the few connections to the tables that all clients share.
      const known = await nameStrategies();
      const whole = await ask(`/api/analytics/pnl?${of}`);
      const today = await ask(`/api/analytics/pnl?${of}from=${format.isoDay(new Date())}`);
      if (asked !== this.#asked) return;
      this.#known = known;
      this.#figures = { whole, today };
      this.#show();
      this.dispatchEvent(new CustomEvent("listed", { detail: { strategies: this.all(), account } }));
    } catch (error) {
      if (asked !== this.#asked) return;
      if (!this.#figures) this.#note(error.status ? error.message : "The server does not answer.");
    } finally {
      const wait = Math.max(LIST_MS, BUSY * (performance.now() - began));
      if (this.#running && asked === this.#asked) this.#timer = setTimeout(() => this.look(), wait);
    }
  }

  /** Give all strategies with their figures; `none` comes last. */
  all() {
    const { whole, today } = this.#figures ?? { whole: null, today: null };
    const of = (told, id) => told?.strategies.find((each) => each.strategy_id === id);
    const none = { strategy_id: "none", name: "", description: "belongs to no strategy", described: false, active: true, rules: 0, accounts: [] };
    return [...this.#known, none].map((each) => ({ ...each, all: of(whole, each.strategy_id), today: of(today, each.strategy_id) }));
  }

  /** Describe a strategy that is not listed yet; one that is, is described where it is shown. */
  #add() {
    const [id, name, description] = ["strategy-id", "strategy-name", "strategy-description"].map((each) => $(each).value.trim());
    if (this.#known.some((each) => each.strategy_id === id && each.described)) {
      put($("strategy-said"), `${id} is there already: choose it, and describe it under About.`, "said warn");
      return;
    }
    const sending = decide("/api/strategies", { body: { strategy_id: id, name, description, active: true } });
    say($("strategy-said"), sending, async () => {
      $("strategy-form").reset();
      await this.look();
      this.dispatchEvent(new CustomEvent("chosen", { detail: id }));
    });
  }

  #show() {
    const words = $("strategy-search").value.trim().toUpperCase().split(/\s+/).filter(Boolean);
    const text = (each) => `${each.strategy_id} ${each.name} ${each.description} ${each.accounts.join(" ")}`.toUpperCase();
    const found = this.#figures ? this.all().filter((each) => words.every((word) => text(each).includes(word))) : [];
    this.#rows.show(found, (row, each) => {
      row.tabIndex = 0;
      row.ariaSelected = String(each.strategy_id === this.#chosen);
      row.classList.toggle("closed", !each.active);
    });
    $("strategy-note").hidden = found.length > 0;
    if (!found.length) put($("strategy-note"), this.#figures ? "Nothing fits the search." : "Loading…");
    this.#total();
  }

  #total() {
    const { whole, today } = this.#figures ?? {};
    const foot = $("strategy-total");
    if (!whole) return foot.replaceChildren();
    if (!foot.rows.length) {
      const row = format.make("tr");
      row.append(...["", "n", "n wide", "n wider", "n wide", "n", "n wide"].map((className) => format.make("td", className)));
      foot.append(row);
    }
    const { cells } = foot.rows[0];
    put(cells[0], "All");
    money(cells[1], today.total.realised, "n");
    money(cells[2], whole.total.realised, "n wide");
    money(cells[3], whole.total.unrealised, "n wider");
    put(cells[4], format.price(whole.total.charges));
    money(cells[5], whole.total.net, "n");
    put(cells[6], format.count(whole.total.open_lines));
    const { uncharged, total } = whole;
    const missing = uncharged.length ? `Charges are missing on ${uncharged.length} days: ${uncharged[0].error}` : "";
    const unpriced = total.unpriced ? `${total.unpriced} open ${total.unpriced === 1 ? "line has no price and is" : "lines have no price and are"} left out of unrealised and net.` : "";
    put($("strategy-told"), [missing, unpriced].filter(Boolean).join(" "));
  }

  #note(text) {
    $("strategy-note").hidden = false;
    put($("strategy-note"), text);
  }
}

/** Write rupees won or lost. */
export function money(cell, value, className) {
  put(cell, format.brief(value), `${className} ${format.tone(value)}`);
}

function name(cell, each) {
  const [name, small] = lines(cell);
  put(name, each.name || each.strategy_id);
  const held = each.accounts.length === 1 ? each.accounts[0] : each.accounts.length ? `${each.accounts.length} accounts` : "";
  const said = each.description || held || (each.described ? "" : "named by a rule");
  put(small, [each.name && each.strategy_id, said, each.active ? "" : "not active"].filter(Boolean).join(" · "));
}
