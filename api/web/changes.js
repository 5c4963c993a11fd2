// What changes in the accounts, as it happens: the newest changes first, and each new one on top.

import { ask } from "./door.js";
import * as format from "./format.js";
import { Line } from "./line.js";
import { put } from "./rows.js";
import { sentence } from "./sentence.js";
import { when } from "./trading.js";

const SHOWN_MAX = 300; // more than anybody scrolls back; the rest is in GET /changes
const NAMES = { orders: "order", trades: "trade", positions: "position", holdings: "holding", margins: "funds" };
const $ = (id) => document.getElementById(id);

/** Events: "chosen" (detail: an account's id), "changed" (detail: a set of accounts). */
export class Changes extends EventTarget {
  #line = new Line("/api/ws/accounts");
  #cursor = null;
  #kind = "";
  #changes = [];
  #asked = 0;
  #running = false;

  constructor() {
    super();
    this.#line.addEventListener("open", () => this.#line.send({ action: "subscribe", since: this.#cursor, kinds: this.#kinds() }));
    this.#line.addEventListener("message", (event) => this.#hear(event.detail));
    this.#line.addEventListener("state", (event) => this.#state(event.detail));
    for (const tab of $("change-tabs").children) tab.addEventListener("click", () => this.#choose(tab.value));
    $("change-search").addEventListener("input", () => this.#list());
    $("change-rows").addEventListener("click", (event) => this.#pick(event));
    $("change-rows").addEventListener("keydown", (event) => event.key === "Enter" && this.#pick(event));
  }

  start() {
    this.#running = true;
    this.#choose(this.#kind);
  }

  stop() {
    this.#running = false;
    this.#asked += 1;
    this.#line.stop();
    this.#cursor = null;
    this.#changes = [];
  }

  #kinds() {
    return this.#kind ? [this.#kind] : [];
  }

  /** Begin with the newest changes of a kind, and go on from there. */
  async #choose(kind) {
    this.#kind = kind;
    for (const tab of $("change-tabs").children) tab.ariaSelected = String(tab.value === kind);
    const asked = ++this.#asked;
    this.#line.stop();
    try {
      const page = await ask(`/changes?newest=${SHOWN_MAX}${kind ? `&kind=${kind}` : ""}`);
      if (asked !== this.#asked || !this.#running) return;
      this.#changes = page.changes.reverse();
      this.#cursor = page.cursor;
      this.#list();
      this.#line.start();
    } catch (error) {
      if (asked !== this.#asked || error.status === 401) return;
      this.#note(error.status ? error.message : "The server does not answer; this page tries again.");
      setTimeout(() => asked === this.#asked && this.#running && this.#choose(kind), 3000);
    }
  }

  #hear(message) {
    if (message.cursor) this.#cursor = message.cursor;
    if (message.type === "waiting" || message.type === "error") this.#state(message.type, message.detail);
    if (message.type !== "changes") return;
    this.#state("live");
    const news = message.changes.reverse();
    this.#changes = [...news, ...this.#changes].slice(0, SHOWN_MAX);
    const fits = this.#filter();
    $("change-rows").prepend(...news.filter(fits).map((each) => row(each, true)));
    while ($("change-rows").rows.length > SHOWN_MAX) $("change-rows").lastElementChild.remove();
    this.#nothing();
    this.dispatchEvent(new CustomEvent("changed", { detail: new Set(news.map((each) => each.account_id)) }));
  }

  #filter() {
    const words = $("change-search").value.trim().toUpperCase().split(/\s+/).filter(Boolean);
    return (each) => {
      if (!words.length) return true;
      const { what, did, more } = sentence(each);
      const text = `${each.account_id} ${each.kind} ${each.key} ${what} ${did} ${more}`.toUpperCase();
      return words.every((word) => text.includes(word));
    };
  }

  #list() {
    $("change-rows").replaceChildren(...this.#changes.filter(this.#filter()).map((each) => row(each, false)));
    this.#nothing();
  }

  #nothing() {
    if ($("change-rows").rows.length) $("change-note").hidden = true;
    else this.#note(this.#changes.length ? "Nothing fits the search." : "Nothing has changed yet: changes come with each pull of an account.");
  }

  #note(text) {
    $("change-note").hidden = false;
    put($("change-note"), text);
  }

  #state(state, detail = "") {
    const words = { idle: "Not connected", waiting: detail || "Connecting…", error: detail, live: "Live" };
    $("change-state").dataset.state = state === "error" ? "lost" : state;
    put($("change-state").lastElementChild, state === "waiting" && detail ? "The tables do not answer; it goes on by itself" : words[state]);
    $("change-state").title = detail;
  }

  #pick(event) {
    const account = event.target.closest("button")?.value;
    if (account) this.dispatchEvent(new CustomEvent("chosen", { detail: account }));
  }
}

function row(each, isNew) {
  const { what, did, tone, more } = sentence(each);
  const element = format.make("tr", isNew ? "new" : "");
  const [at, name, text] = ["when", "what", "did"].map((className) => element.appendChild(format.make("td", className)));
  const account = Object.assign(format.make("button", "link", each.account_id), { type: "button", value: each.account_id, title: each.account_id });
  at.append(format.make("time", "", when(each.observed_at)), account);
  const key = { orders: each.key, margins: each.key }[each.kind] ?? "";
  name.append(format.make("b", "", what), format.make("small", "", `${NAMES[each.kind] ?? each.kind} ${key}`.trim()));
  text.append(format.make("b", tone, did), format.make("small", "", more));
  return element;
}
