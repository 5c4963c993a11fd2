// The rules that say what belongs to which strategy: written as a draft, looked at beside what counts, then applied.

import { decide, say } from "./decisions.js";
import * as format from "./format.js";
import { all } from "./portfolios.js";
import { lines, put, Rows } from "./rows.js";

const $ = (id) => document.getElementById(id);
const AGAIN_MS = 5000; // the tables or the server were away
const SLUG_MAX = 64; // the longest id of a rule

/** Events: "decided": a rule was set, applied or taken back, or one was drafted. */
export class Rules extends EventTarget {
  #asked = 0;
  #table = new Rows(
    $("rule-rows"),
    [
      ["name", "What", (cell, each) => this.#what(cell, each)],
      ["wide", "Strategy", (cell, each) => put(cell, each.strategy_id)],
      ["", "State", (cell, each) => put(cell, each.draft ? "draft" : "counts", each.draft ? "warn" : "")],
      ["act", "", (cell, each) => this.#buttons(cell, each)],
    ],
    (each) => `${each.rule_id} ${each.draft}`,
  );

  constructor() {
    super();
    $("rule-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#draft();
    });
    $("rule-kind").addEventListener("change", () => this.#hint());
    $("rule-rows").addEventListener("click", (event) => this.#click(event));
    this.#hint();
  }

  /** Ask for the rules. */
  async look() {
    const asked = ++this.#asked;
    const note = $("rule-note");
    try {
      const { rows } = await all("/api/rules", "rules");
      if (asked !== this.#asked) return;
      const order = (each) => `${each.draft ? 0 : 1} ${each.kind === "order" || each.kind === "trade" ? 1 : 0} ${each.strategy_id} ${each.rule_id}`;
      this.#table.show(rows.sort((a, b) => order(a).localeCompare(order(b))));
      note.hidden = rows.length > 0;
      put(note, "No rules yet. Tags such as strategy_7 or strat:7 name their strategy without one.");
    } catch (error) {
      if (asked !== this.#asked) return;
      note.hidden = false;
      put(note, error.status ? error.message : "The server does not answer.");
      if (error.status === 503 || !error.status) setTimeout(() => asked === this.#asked && this.look(), AGAIN_MS);
    }
  }

  #hint() {
    const isTag = $("rule-kind").value === "tag";
    $("rule-pattern").placeholder = isTag ? "breakout*" : "NFO:NIFTY*";
    put($("rule-pattern-label"), isTag ? "Tag" : "Symbol");
  }

  #wish() {
    const value = (id) => $(id).value.trim();
    const kind = value("rule-kind");
    const [strategy, pattern, account] = ["rule-strategy", "rule-pattern", "rule-account"].map(value);
    // The id is made of what the rule says: who says it again replaces it.
    const slug = [strategy, kind, pattern, account].filter(Boolean).join("-").replaceAll("*", ".any").replaceAll("?", ".one");
    return {
      rule_id: slug.replace(/[^A-Za-z0-9_.-]+/g, "_").slice(0, SLUG_MAX),
      strategy_id: strategy,
      kind,
      pattern,
      account_id: account,
      priority: Number(value("rule-priority") || 0),
      valid_from: value("rule-from") || null,
      valid_to: value("rule-to") || null,
      draft: true,
    };
  }

  #draft() {
    say($("rule-said"), decide("/api/rules", { body: this.#wish() }), () => this.#decided());
  }

  #click(event) {
    const button = event.target.closest("button");
    const each = this.#table.at(event.target);
    if (!button || !each) return;
    const id = encodeURIComponent(each.rule_id);
    const sending =
      button.value === "apply"
        ? decide(`/api/rules/${id}/apply`)
        : decide(`/api/rules/${id}${each.draft ? "?draft=true" : ""}`, { method: "DELETE" });
    say($("rule-said"), sending, () => this.#decided());
  }

  #decided() {
    this.dispatchEvent(new Event("decided"));
    return this.look();
  }

  #what(cell, each) {
    const [name, small] = lines(cell);
    put(name, each.pattern);
    const from = each.valid_from ? `from ${each.valid_from}` : "";
    const to = each.valid_to ? `to ${each.valid_to}` : "";
    const kind = { tag: "tag", symbol: "symbol", order: "by hand, order", trade: "by hand, trade" }[each.kind] ?? each.kind;
    put(small, [kind, each.account_id || "all accounts", from, to, each.priority ? `priority ${each.priority}` : ""].filter(Boolean).join(" · "));
    cell.title = each.rule_id;
  }

  #buttons(cell, each) {
    if (cell.children.length) return;
    if (each.draft) cell.append(Object.assign(format.make("button", "small-button", "Apply"), { type: "button", value: "apply" }));
    cell.append(Object.assign(format.make("button", "small-button", each.draft ? "Drop" : "Take back"), { type: "button", value: "remove" }));
  }
}

/** Give the ids of all strategies to the fields that name one. */
export async function nameStrategies() {
  const { rows } = await all("/api/strategies", "strategies");
  $("strategy-names").replaceChildren(...rows.map((each) => new Option(each.name, each.strategy_id)));
  return rows;
}

