// Results by day of an account or a strategy: figures, the equity curve, the calendar. What is realised, less charges:
// what is open has no result yet.

import { Calendar } from "./calendar.js";
import { ask } from "./door.js";
import { Equity } from "./equity.js";
import * as format from "./format.js";
import { all } from "./portfolios.js";
import { put } from "./rows.js";

const DAY_MS = 86_400_000;
const PERIODS = [["1 month", 30], ["3 months", 91], ["1 year", 365], ["All", 0]];
const ratio = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

export class Results {
  #equity;
  #calendar;
  #note = format.make("p", "empty", "Loading…");
  #tabs = format.make("div", "tabs parts");
  #facts = format.make("dl", "facts");
  #days = 365;
  #of = null;
  #asked = 0;
  #told = "";

  /** Build everything into an element. */
  constructor(root) {
    this.#tabs.role = "tablist";
    this.#tabs.ariaLabel = "Period";
    for (const [label, days] of PERIODS) {
      const tab = Object.assign(format.make("button", "", label), { type: "button", role: "tab" });
      tab.ariaSelected = String(days === this.#days);
      tab.addEventListener("click", () => this.#period(tab, days));
      this.#tabs.append(tab);
    }
    const curve = format.make("div", "curve");
    const canvas = format.make("canvas");
    canvas.tabIndex = 0;
    canvas.ariaLabel = "Equity after each day; the arrow keys read them";
    curve.append(canvas, this.#note);
    const heat = format.make("div", "heat");
    root.append(this.#tabs, curve, heat, this.#facts);
    this.#equity = new Equity(canvas);
    this.#calendar = new Calendar(heat);
  }

  /** Show the results of {account, strategy}, either of which may be left out. */
  async show(of, isOther = true) {
    this.#of = of;
    if (isOther) {
      this.#told = "";
      this.#note.hidden = false;
      put(this.#note, "Loading…");
      this.#equity.show([]);
    }
    const asked = ++this.#asked;
    const today = format.isoDay(new Date());
    const query = new URLSearchParams();
    if (of.account) query.set("account_id", of.account);
    if (of.strategy) query.set("strategy_id", of.strategy);
    if (this.#days) query.set("from", format.isoDay(new Date(Date.now() - (this.#days - 1) * DAY_MS)));
    const [curve, days, performance] = await Promise.all([
      ask(`/api/analytics/equity-curve?${query}`),
      all(`/api/analytics/daily-pnl?${query}`, "days"),
      of.account ? ask(`/analytics/account/${encodeURIComponent(of.account)}/performance?period=all&${query}`) : null,
    ]);
    if (asked !== this.#asked) return;
    // The span begins before the first trade: of the days without any, one is enough to start from.
    const begun = curve.points.findIndex((point) => point.net);
    const points = curve.points.slice(Math.max(0, begun - 1));
    const news = JSON.stringify([points, days.rows]);
    if (news !== this.#told) {
      this.#told = news;
      this.#equity.show(begun < 0 ? [] : points);
      this.#calendar.show(days.rows, today);
    }
    this.#note.hidden = begun >= 0;
    put(this.#note, "Nothing was realised and nothing paid in these days.");
    this.#figures(points, days.rows, performance);
  }

  /** Say why nothing is seen. */
  fail(error) {
    if (this.#told) return; // what is seen stays
    this.#note.hidden = false;
    put(this.#note, error.status ? error.message : "The server does not answer.");
  }

  #period(tab, days) {
    this.#days = days;
    for (const each of this.#tabs.children) each.ariaSelected = String(each === tab);
    if (this.#of) this.show(this.#of).catch((error) => this.fail(error));
  }

  #figures(points, days, performance) {
    const add = (name) => days.reduce((sum, each) => sum + each[name], 0);
    const fall = Math.max(0, ...points.map((point) => point.drawdown));
    const facts = [
      ["Realised", format.money(add("realised")), format.tone(add("realised"))],
      ["Charges", format.price(add("charges"))],
      ["Net", format.money(add("net")), format.tone(add("net"))],
      ["Deepest fall", format.price(fall), fall ? "down" : ""],
      ["Trades", format.count(add("trades"))],
      ["Days won", `${days.filter((each) => each.net > 0).length} of ${days.length}`],
    ];
    if (performance) {
      const { trips, days: daily } = performance;
      facts.push(
        ["Round trips", format.count(trips.count)],
        ["Win rate", trips.win_rate === null ? "–" : `${(trips.win_rate * 100).toFixed(1)}%`],
        ["Profit factor", ratio(trips.profit_factor)],
        ["A trip brings", format.money(trips.expectancy), format.tone(trips.expectancy)],
        ["Best day", format.money(daily.best_day?.net), format.tone(daily.best_day?.net)],
        ["Worst day", format.money(daily.worst_day?.net), format.tone(daily.worst_day?.net)],
      );
    }
    while (this.#facts.children.length > facts.length) this.#facts.lastElementChild.remove();
    facts.forEach(([name, value, tone], i) => {
      const pair = this.#facts.children[i] ?? this.#facts.appendChild(format.make("div"));
      if (!pair.children.length) pair.append(format.make("dt"), format.make("dd"));
      put(pair.firstElementChild, name);
      put(pair.lastElementChild, value, tone ?? "");
    });
  }
}
