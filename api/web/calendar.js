// The days as a heat map: a column a week, Monday on top; the deeper the colour, the more was won or lost on that day.

import * as format from "./format.js";
import { put } from "./rows.js";

const WEEKS_LEAST = 13;
const WEEKS_MOST = 53;
const DAY_MS = 86_400_000;
const LEVELS = 4;
const weekday = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", weekday: "short", day: "numeric", month: "short", year: "numeric" });
const month = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", month: "short" });
// Days are counted in UTC here: they are names of IST days already, and no clock is involved.
const number = (day) => Date.parse(`${day}T00:00:00Z`) / DAY_MS;
const name = (n) => new Date(n * DAY_MS).toISOString().slice(0, 10);
const monday = (n) => n - ((n + 3) % 7);

export class Calendar {
  #root;
  #grid = format.make("div", "days");
  #said = format.make("p", "said");
  #days = new Map();
  #chosen = null;
  #last = 0;
  #first = 0;

  /** Draw into an element. */
  constructor(root) {
    this.#root = root;
    this.#grid.tabIndex = 0;
    this.#grid.role = "group";
    this.#grid.ariaLabel = "Result of each day; the arrow keys read them";
    this.#said.role = "status";
    root.append(this.#grid, this.#said);
    this.#grid.addEventListener("pointerover", (event) => event.target.dataset.day && this.#choose(number(event.target.dataset.day)));
    this.#grid.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -7, ArrowRight: 7, ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      this.#choose(Math.max(this.#first, Math.min(this.#last, (this.#chosen ?? this.#last) + (this.#chosen === null ? 0 : move))));
    });
  }

  /** Show days, {day, net, trades}; `today` is the newest that can have a result. */
  show(days, today) {
    this.#days = new Map(days.map((each) => [each.day, each]));
    this.#last = number(today);
    const oldest = days.length ? number(days[0].day) : this.#last;
    const weeks = Math.max(WEEKS_LEAST, Math.min(WEEKS_MOST, (monday(this.#last) - monday(oldest)) / 7 + 1));
    this.#first = monday(this.#last) - (weeks - 1) * 7;
    const most = Math.max(0, ...days.map((each) => Math.abs(each.net)));
    const cells = [];
    for (let week = 0; week < weeks; week++) cells.push(this.#month(this.#first + week * 7, week));
    for (let n = this.#first; n <= this.#last; n++) cells.push(this.#cell(n, most));
    this.#grid.replaceChildren(...cells);
    this.#root.scrollLeft = this.#root.scrollWidth;
    this.#choose(this.#last);
  }

  #month(first, week) {
    const at = new Date((first + 6) * DAY_MS);
    const next = new Date((first + 20) * DAY_MS); // two weeks on: a label needs as much room
    const isFirst = week === 0 && next.getUTCMonth() === at.getUTCMonth();
    const label = format.make("span", "month", isFirst || (week && at.getUTCDate() <= 7) ? month.format(at) : "");
    label.style.gridColumn = String(week + 1);
    return label;
  }

  #cell(n, most) {
    const day = name(n);
    const each = this.#days.get(day);
    const level = each && each.net && most ? Math.max(1, Math.ceil((Math.abs(each.net) / most) * LEVELS)) : 0;
    const cell = format.make("i", each ? (level ? `${each.net > 0 ? "won" : "lost"} level-${level}` : "even") : "");
    cell.dataset.day = day;
    cell.style.gridColumn = String((monday(n) - this.#first) / 7 + 1);
    cell.style.gridRow = String(((n + 3) % 7) + 2);
    return cell;
  }

  #choose(n) {
    this.#chosen = n;
    this.#grid.querySelector(".chosen")?.classList.remove("chosen");
    const day = name(n);
    const cell = this.#grid.querySelector(`[data-day="${day}"]`);
    cell?.classList.add("chosen");
    const each = this.#days.get(day);
    const trades = each?.trades === undefined ? "" : `, ${format.count(each.trades)} trades`;
    put(this.#said, `${weekday.format(new Date(n * DAY_MS))}: ${each ? `${format.money(each.net)} net${trades}` : "nothing traded"}`);
  }
}
