// How numbers and times are written: Indian digits, Indian time.

const prices = new Map();
const whole = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-IN", { notation: "compact", maximumFractionDigits: 2 });
const signed = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });
const crores = new Intl.NumberFormat("en-IN", { notation: "compact", maximumFractionDigits: 2, signDisplay: "exceptZero" });
const exacts = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const quantities = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 8 });
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit" });
const isoDays = new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Kolkata" });
const day = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", day: "numeric", month: "short" });

/** A price with the decimals of its tick size: 2, or 4 for currencies. */
export function price(value, tickSize = 0.05) {
  if (value === null || value === undefined) return "–";
  const digits = tickSize > 0 && tickSize < 0.01 ? 4 : 2;
  if (!prices.has(digits)) {
    prices.set(digits, new Intl.NumberFormat("en-IN", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  return prices.get(digits).format(value);
}

/** Rupees won or lost, with their sign. */
export const money = (value) => (value === null || value === undefined ? "–" : signed.format(value));
/** The same where there is little room: from a crore on with two decimals of it. */
export const brief = (value) => (Math.abs(value ?? 0) >= 1e7 ? crores.format(value) : money(value));
export const quantity = (value) => (value === null || value === undefined ? "–" : quantities.format(value));
/** A price with the decimals that it has, 2 at least. */
export const exact = (value) => (value === null || value === undefined ? "–" : exacts.format(value));
/** The day in India, as 2026-04-13. */
export const isoDay = (value) => isoDays.format(value);

export const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));
export const compact = (value) => (value === null || value === undefined ? "–" : short.format(value));
export const percent = (value) => (value === null || value === undefined ? "" : `${value > 0 ? "+" : ""}${value.toFixed(2)}%`);
export const time = (date) => clock.format(date);
export const hourMinute = (date) => minute.format(date);
export const date = (value) => day.format(value);
/** Won, lost, or neither, as it is written with two decimals. */
export const tone = (value) => (value >= 0.005 ? "up" : value <= -0.005 ? "down" : "dim");

/** Milliseconds as a person says them. */
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** How long ago, in whole seconds while it is seconds. */
export const ago = (ms) => `${ms < 10_000 ? `${Math.max(1, Math.floor(ms / 1000))} s` : span(ms)} ago`;

/** An element with text and a class: all that this page's markup needs, and nothing a name could break out of. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== "") element.textContent = text;
  return element;
}
