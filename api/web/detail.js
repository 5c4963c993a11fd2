// One instrument in full: candles, the day's figures, five levels of the book.

import { Chart } from "./chart.js";
import { ask } from "./door.js";
import * as format from "./format.js";

const INTERVALS = ["1m", "5m", "15m", "1h", "1d"];
const CANDLES = 400; // more than any screen shows
const REFRESH_MS = 5000; // candles_1m has the open minute within 5 s
const $ = (id) => document.getElementById(id);

export class Detail extends EventTarget {
  #chart = new Chart($("chart"));
  #instrument = null;
  #interval = "1m";
  #timer = 0;
  #asked = 0;
  #candles = [];

  constructor() {
    super();
    for (const interval of INTERVALS) {
      const tab = format.make("button", "", interval);
      tab.type = "button";
      tab.role = "tab";
      tab.addEventListener("click", () => this.#choose(interval));
      $("intervals").append(tab);
    }
    $("detail-close").addEventListener("click", () => this.dispatchEvent(new Event("close")));
    this.#choose("1m");
  }

  show(instrument, tick) {
    this.#instrument = instrument;
    $("detail").hidden = false;
    $("detail-title").textContent = instrument.tradingsymbol ?? `${instrument.instrument_token}`;
    $("detail-name").textContent = [instrument.exchange, instrument.name, `token ${instrument.instrument_token}`].filter(Boolean).join(" · ");
    this.update(tick);
    this.#chart.show([], this.#interval, instrument.tick_size ?? 0.05);
    this.#load();
  }

  hide() {
    clearTimeout(this.#timer);
    this.#asked += 1;
    this.#instrument = null;
    $("detail").hidden = true;
  }

  update(tick) {
    const size = this.#instrument?.tick_size ?? 0.05;
    $("detail-last").textContent = format.price(tick?.last_price, size);
    $("detail-change").textContent = this.#change(tick, size);
    $("detail-change").className = format.tone(tick?.change_percent);
    this.#facts(tick, size);
    this.#book(tick?.depth, size);
    if (tick) this.#chart.follow(tick.last_price);
  }

  #change(tick, size) {
    if (!tick?.close) return "";
    const by = tick.last_price - tick.close;
    return `${by > 0 ? "+" : ""}${format.price(by, size)}  ${format.percent(tick.change_percent)}`;
  }

  #choose(interval) {
    this.#interval = interval;
    for (const tab of $("intervals").children) tab.ariaSelected = String(tab.textContent === interval);
    if (this.#instrument) this.#load();
  }

  /** Ask for all candles of the interval's usual span, and from then on for the newest. */
  async #load() {
    clearTimeout(this.#timer);
    this.#candles = [];
    await this.#refresh(++this.#asked);
  }

  async #refresh(asked) {
    const { instrument_token: token, tick_size: size } = this.#instrument;
    const note = $("chart-note");
    const newest = this.#candles.at(-1)?.bucket;
    const since = newest ? `&from=${encodeURIComponent(newest)}` : "";
    try {
      const { candles } = await ask(`/api/historical/candles?instrument_token=${token}&interval=${this.#interval}&limit=${CANDLES * 4}${since}`);
      if (asked !== this.#asked) return;
      const older = candles.length && newest ? this.#candles.filter((candle) => candle.bucket < candles[0].bucket) : this.#candles;
      this.#candles = [...older, ...candles].slice(-CANDLES);
      note.hidden = this.#candles.length > 0;
      note.textContent = "No candles yet: the first one comes within seconds of the first tick.";
      this.#chart.show(this.#candles, this.#interval, size ?? 0.05);
    } catch (error) {
      if (asked !== this.#asked) return;
      note.hidden = this.#candles.length > 0;
      note.textContent = error.message;
    }
    this.#timer = setTimeout(() => this.#instrument && this.#refresh(asked), REFRESH_MS);
  }

  #facts(tick, size) {
    const facts = [
      ["Open", format.price(tick?.open, size)],
      ["High", format.price(tick?.high, size)],
      ["Low", format.price(tick?.low, size)],
      ["Close before", format.price(tick?.close, size)],
      ["Average", format.price(tick?.average_price, size)],
      ["Volume", format.compact(tick?.volume)],
      ["Open interest", tick?.oi ? format.compact(tick.oi) : "–"],
      ["At", tick ? format.time(new Date(tick.time)) : "–"],
    ];
    const list = $("facts");
    if (!list.children.length) {
      for (const [name] of facts) {
        const pair = format.make("div");
        pair.append(format.make("dt", "", name), format.make("dd"));
        list.append(pair);
      }
    }
    facts.forEach(([, value], i) => (list.children[i].lastChild.textContent = value));
  }

  #book(depth, size) {
    $("book").hidden = !depth;
    if (!depth) return;
    const most = Math.max(1, ...depth.buy.map((level) => level.quantity), ...depth.sell.map((level) => level.quantity));
    $("book").replaceChildren(this.#side("bids", "Bid", depth.buy, most, size), this.#side("asks", "Ask", depth.sell, most, size));
  }

  #side(className, title, levels, most, size) {
    const side = format.make("div", className);
    const head = format.make("h3");
    head.append(format.make("span", "", title), format.make("span", "", "Quantity"));
    side.append(head);
    for (const level of levels) {
      const row = format.make("div", "level");
      const bar = format.make("i");
      bar.style.width = `${(level.quantity / most) * 100}%`;
      const quantity = format.make("span", "", format.count(level.quantity));
      quantity.title = `${level.orders} orders`;
      row.append(bar, format.make("span", className === "bids" ? "up" : "down", format.price(level.price, size)), quantity);
      side.append(row);
    }
    return side;
  }
}
