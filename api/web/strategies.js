// The strategies: which there are, whose trades they have, and what is said of them. What belongs to none is one of them.

import { decide, say } from "./decisions.js";
import * as format from "./format.js";
import { nameStrategies } from "./rules.js";
import { lines, put, Rows } from "./rows.js";

const LIST_MS = 10_000; // figures follow trades, and these come with pulls
const NONE = { strategy_id: "none", name: "", description: "belongs to no strategy", described: false, active: true, rules: 0, accounts: [] };
const $ = (id) => document.getElementById(id);

/** Events: "chosen" (detail: a strategy's id), "listed" (detail: the strategies). */
export class Strategies extends EventTarget {
  strategies = [];
  #timer = 0;
  #running = false;
  #asked = 0;
  #chosen = "";
  #rows = new Rows(
    $("strategy-rows"),
    [
      ["name", "Strategy", (cell, each) => this.#name(cell, each)],
      ["n", "Rules", (cell, each) => put(cell, each.strategy_id === "none" ? "–" : format.count(each.rules))],
      ["n wide", "Accounts", (cell, each) => put(cell, each.strategy_id === "none" ? "–" : format.count(each.accounts.length))],
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
    $("describe").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#describe();
    });
  }

  start() {
    this.#running = true;
    this.look();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  choose(id) {
    const isOther = this.#chosen !== id;
    this.#chosen = id;
    this.#show();
    this.#head(isOther);
  }

  async look() {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    try {
      const rows = await nameStrategies();
      if (asked !== this.#asked) return;
      this.strategies = [...rows, NONE];
      this.#show();
      this.#head(false);
      this.dispatchEvent(new CustomEvent("listed", { detail: this.strategies }));
    } catch (error) {
      if (asked !== this.#asked) return;
      if (!this.strategies.length) this.#note(error.status ? error.message : "The server does not answer.");
    }
    if (this.#running && asked === this.#asked) this.#timer = setTimeout(() => this.look(), LIST_MS);
  }

  #show() {
    const words = $("strategy-search").value.trim().toUpperCase().split(/\s+/).filter(Boolean);
    const text = (each) => `${each.strategy_id} ${each.name} ${each.description} ${each.accounts.join(" ")}`.toUpperCase();
    const found = this.strategies.filter((each) => words.every((word) => text(each).includes(word)));
    this.#rows.show(found, (row, each) => {
      row.tabIndex = 0;
      row.ariaSelected = String(each.strategy_id === this.#chosen);
      row.classList.toggle("closed", !each.active);
    });
    $("strategy-note").hidden = found.length > 0;
    if (!found.length) put($("strategy-note"), this.strategies.length ? "Nothing fits the search." : "Loading…");
  }

  #note(text) {
    $("strategy-note").hidden = false;
    put($("strategy-note"), text);
  }

  #head(isOther) {
    const each = this.strategies.find((one) => one.strategy_id === this.#chosen);
    $("strategy").hidden = !each;
    $("strategies").classList.toggle("split", Boolean(each));
    if (!each) return;
    put($("strategy-title"), each.name || each.strategy_id);
    const named = each.strategy_id === "none" ? "" : each.described ? "" : "only a tag or a rule names it";
    put($("strategy-about"), [each.name && each.strategy_id, each.description, named, each.active ? "" : "not active"].filter(Boolean).join(" · "));
    $("describe").hidden = each.strategy_id === "none";
    if (!isOther && $("describe").contains(document.activeElement)) return;
    if (!isOther && $("describe").dataset.of === each.strategy_id) return;
    $("describe").dataset.of = each.strategy_id;
    $("describe-name").value = each.name;
    $("describe-text").value = each.description;
    $("describe-active").checked = each.active;
    put($("describe-said"), "");
  }

  #describe() {
    const body = {
      strategy_id: this.#chosen,
      name: $("describe-name").value.trim(),
      description: $("describe-text").value.trim(),
      active: $("describe-active").checked,
    };
    say($("describe-said"), decide("/api/strategies", { body }), () => this.look());
  }

  #name(cell, each) {
    const [name, small] = lines(cell);
    put(name, each.name || each.strategy_id);
    put(small, [each.name && each.strategy_id, each.description || (each.described ? "" : "named by a tag or a rule"), each.active ? "" : "not active"].filter(Boolean).join(" · "));
  }
}
