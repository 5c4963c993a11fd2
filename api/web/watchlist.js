// The watchlist: a row an instrument, live. Only what is listed is subscribed, and only what is seen is drawn.

import { ask } from "./door.js";
import * as format from "./format.js";
import { drawSpark } from "./spark.js";

const ROWS_MAX = 200; // a longer list is searched, not scrolled
const SPARKS_AT_ONCE = 3;
const POINTS_MAX = 400;
const FIRST = ["NIFTY 50", "SENSEX", "NIFTY BANK"]; // what everybody looks at first
const FLASH_MS = 700;
const KINDS = [
  ["All", () => true],
  ["Indices", (each) => each.segment === "INDICES"],
  ["Stocks", (each) => each.instrument_type === "EQ" && each.segment !== "INDICES"],
  ["Futures", (each) => each.instrument_type === "FUT"],
  ["Options", (each) => each.instrument_type === "CE" || each.instrument_type === "PE"],
];
const $ = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Events: "listed" (detail: tokens shown), "chosen" (detail: instrument). */
export class Watchlist extends EventTarget {
  #all = [];
  #rows = new Map();
  #ticks = new Map();
  #points = new Map();
  #dirty = new Set();
  #frame = 0;
  #kind = "All";
  #chosen = null;
  #waiting = [];
  #loading = 0;
  #seen = new IntersectionObserver((entries) => entries.forEach((entry) => this.#meet(entry)));

  constructor() {
    super();
    $("search").addEventListener("input", () => this.#list());
    $("rows").addEventListener("click", (event) => this.#choose(event.target.closest("tr")));
    document.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("theme", () => this.#rows.forEach((_, token) => this.#dirty.add(token)));
  }

  tick(token) {
    return this.#ticks.get(token);
  }

  /** Replace the list of instruments; rows stay where nothing changed. */
  set(instruments) {
    const order = (each) => (each.segment === "INDICES" ? 0 : each.instrument_type === "EQ" ? 1 : each.instrument_type === "FUT" ? 2 : 3);
    const rank = (each) => FIRST.indexOf(each.tradingsymbol) >>> 0; // those that are not named come last
    const name = (each) => each.tradingsymbol ?? String(each.instrument_token);
    this.#all = [...instruments].sort((a, b) => order(a) - order(b) || rank(a) - rank(b) || name(a).localeCompare(name(b)));
    this.#tabs();
    this.#list();
  }

  /** Take ticks, newest last; the screen follows with its own rhythm. */
  take(ticks) {
    for (const tick of ticks) {
      const token = tick.instrument_token;
      this.#ticks.set(token, tick);
      this.#extend(token, tick);
      this.#dirty.add(token);
    }
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#dirty.forEach((token) => this.#paint(token));
      this.#dirty.clear();
    });
  }

  /** Choose the first row, as a wide window has room for it. */
  chooseFirst() {
    if (this.#chosen === null) this.#choose($("rows").firstElementChild);
  }

  unchoose() {
    this.#chosen = null;
    this.#rows.forEach((row) => (row.element.ariaSelected = "false"));
  }

  #tabs() {
    const kinds = KINDS.filter(([label, fits]) => label === "All" || this.#all.some(fits));
    if ($("tabs").children.length === kinds.length) return;
    $("tabs").replaceChildren(
      ...kinds.map(([label]) => {
        const tab = format.make("button", "", label);
        tab.type = "button";
        tab.role = "tab";
        tab.ariaSelected = String(label === this.#kind);
        tab.addEventListener("click", () => {
          this.#kind = label;
          for (const each of $("tabs").children) each.ariaSelected = String(each === tab);
          this.#list();
        });
        return tab;
      }),
    );
  }

  #list() {
    const fits = KINDS.find(([label]) => label === this.#kind)[1];
    const words = $("search").value.trim().toUpperCase().split(/\s+/).filter(Boolean);
    const text = (each) => `${each.tradingsymbol ?? ""} ${each.name ?? ""} ${each.instrument_token}`.toUpperCase();
    const found = this.#all.filter((each) => fits(each) && words.every((word) => text(each).includes(word)));
    const listed = found.slice(0, ROWS_MAX);
    const tokens = new Set(listed.map((each) => each.instrument_token));
    for (const [token, row] of this.#rows) {
      if (!tokens.has(token)) {
        this.#seen.unobserve(row.element);
        this.#rows.delete(token);
      }
    }
    $("rows").replaceChildren(...listed.map((each) => this.#row(each).element));
    tokens.forEach((token) => this.#paint(token, true));
    const note = $("rows-note");
    note.hidden = found.length === listed.length && listed.length > 0;
    note.textContent = !this.#all.length
      ? "No prices yet. They appear with the first ticks; subscribe with WATCHLIST or POST /api/instruments/subscribe."
      : !listed.length
        ? "Nothing fits the search."
        : `${found.length - listed.length} more: search to see them.`;
    this.dispatchEvent(new CustomEvent("listed", { detail: [...tokens] }));
  }

  #row(instrument) {
    const token = instrument.instrument_token;
    const held = this.#rows.get(token);
    if (held) return held;
    const element = format.make("tr");
    element.dataset.token = token;
    element.tabIndex = 0;
    element.ariaSelected = String(token === this.#chosen);
    const name = format.make("td");
    const symbol = instrument.tradingsymbol ?? String(token);
    const said = instrument.name && instrument.name !== symbol ? instrument.name : (instrument.exchange ?? "not in the instruments");
    name.append(format.make("b", "", symbol), format.make("small", "", said));
    const sparkCell = format.make("td", "spark-cell");
    const spark = format.make("canvas", "spark");
    sparkCell.append(spark);
    const cells = ["n", "n change", "n volume", "n quote", "n quote"].map((className) => format.make("td", className));
    element.append(name, sparkCell, ...cells);
    const values = cells.map((cell, i) => cell.appendChild(format.make("span", i ? "" : "last", "–")));
    const under = cells[0].appendChild(format.make("small"));
    const row = { element, instrument, spark, values, under, last: null, visible: false, shown: [] };
    this.#rows.set(token, row);
    this.#seen.observe(element);
    return row;
  }

  #meet(entry) {
    const row = this.#rows.get(Number(entry.target.dataset.token));
    if (!row) return;
    row.visible = entry.isIntersecting;
    if (!row.visible) return;
    const token = row.instrument.instrument_token;
    if (!this.#points.has(token)) {
      this.#points.set(token, []);
      this.#waiting.push(token);
      this.#next();
    }
    this.#paint(token, true);
  }

  async #next() {
    if (this.#loading >= SPARKS_AT_ONCE) return;
    const token = this.#waiting.shift();
    if (token === undefined) return;
    this.#loading += 1;
    try {
      const { candles } = await ask(`/api/historical/candles?instrument_token=${token}&interval=1m&limit=1500`);
      const today = candles.length ? candles.at(-1).bucket.slice(0, 10) : "";
      const day = candles.filter((candle) => candle.bucket.startsWith(today));
      this.#points.set(token, day.slice(-POINTS_MAX).map((candle) => ({ minute: candle.bucket.slice(0, 16), price: candle.close })));
      this.#paint(token, true);
    } catch {
      this.#points.delete(token); // it is asked for again when the row is next seen
    } finally {
      this.#loading -= 1;
      this.#next();
    }
  }

  /** Let the day's line grow by the minute. */
  #extend(token, tick) {
    const points = this.#points.get(token);
    if (!points) return;
    const minute = tick.time.slice(0, 16);
    const last = points.at(-1);
    if (last?.minute === minute) last.price = tick.last_price;
    else points.push({ minute, price: tick.last_price });
    if (points.length > POINTS_MAX) points.shift();
  }

  #paint(token, whole = false) {
    const row = this.#rows.get(token);
    const tick = this.#ticks.get(token);
    if (!row || !tick || !(row.visible || whole)) return;
    const size = row.instrument.tick_size ?? 0.05;
    const values = [
      format.price(tick.last_price, size),
      format.percent(tick.change_percent) || "–",
      format.compact(tick.volume),
      format.price(tick.bid_price, size),
      format.price(tick.ask_price, size),
    ];
    values.forEach((value, i) => {
      if (row.shown[i] !== value) row.values[i].textContent = row.shown[i] = value;
    });
    row.under.textContent = row.shown[1];
    row.under.className = row.values[1].className = format.tone(tick.change_percent);
    if (row.last !== null && row.last !== tick.last_price && !whole) this.#flash(row.values[0], tick.last_price > row.last);
    row.last = tick.last_price;
    if (row.visible) drawSpark(row.spark, (this.#points.get(token) ?? []).map((point) => point.price), tick.close);
  }

  #flash(cell, rose) {
    if (still.matches) return;
    const wash = getComputedStyle(cell).getPropertyValue(rose ? "--up-wash" : "--down-wash");
    cell.animate([{ backgroundColor: wash }, { backgroundColor: "transparent" }], { duration: FLASH_MS, easing: "ease-out" });
  }

  #choose(element) {
    if (!element) return;
    this.unchoose();
    element.ariaSelected = "true";
    this.#chosen = Number(element.dataset.token);
    this.dispatchEvent(new CustomEvent("chosen", { detail: this.#rows.get(this.#chosen).instrument }));
  }

  #key(event) {
    if ($("view-market").hidden) return;
    if (event.key === "Enter" && event.target.matches("#rows tr")) this.#choose(event.target);
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!move || this.#chosen === null) return;
    const chosen = this.#rows.get(this.#chosen)?.element;
    const next = move > 0 ? chosen?.nextElementSibling : chosen?.previousElementSibling;
    if (!next) return;
    event.preventDefault();
    next.scrollIntoView({ block: "nearest" });
    this.#choose(next);
  }
}
