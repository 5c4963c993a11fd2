// How numbers and times are written: Indian digits, Indian time.

// Answers have all their digits, 12.50000000 for twelve and a half rupees. What is seen of them is decided here alone.
const NOTHING = "–";

/** A writer of numbers with so many decimals; text that is a number is one, no number is a dash, and nothing is -0. */
function figure(least, most, more = {}) {
  const writer = new Intl.NumberFormat("en-IN", { minimumFractionDigits: least, maximumFractionDigits: most, signDisplay: "negative", ...more });
  return (value) => (value === null || value === undefined || value === "" || Number.isNaN(Number(value)) ? NOTHING : writer.format(value));
}

const twoDecimals = figure(2, 2);
const fourDecimals = figure(4, 4);
const twoToFour = figure(2, 4);
const CURRENCIES = new Set(["CDS", "BCD"]);
const signed = figure(2, 2, { signDisplay: "exceptZero" });
const crores = figure(0, 2, { notation: "compact", signDisplay: "exceptZero" });
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit" });
const isoDays = new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Kolkata" });
const day = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", day: "numeric", month: "short" });

/** A price with the decimals of its tick size: 2, or 4 for currencies. */
export const price = (value, tickSize = 0.05) => (tickSize > 0 && tickSize < 0.01 ? fourDecimals : twoDecimals)(value);
/** Rupees won or lost, with their sign. */
export const money = signed;
/** The same where there is little room: from a crore on with two decimals of it. */
export const brief = (value) => (Math.abs(value ?? 0) >= 1e7 ? crores : signed)(value);
/** A number of shares or contracts, without zeros behind it. */
export const quantity = figure(0, 8);
/** A price with the decimals that it has, 2 at least and 4 at most; currencies have 4. */
export const exact = (value, exchange = "") => (CURRENCIES.has(exchange) ? fourDecimals : twoToFour)(value);
/** The tick size of what an exchange trades, as far as it tells how prices are written. */
export const tickSize = (exchange) => (CURRENCIES.has(exchange) ? 0.0025 : 0.05);
export const count = figure(0, 0);
export const compact = figure(0, 2, { notation: "compact" });
/** The day in India, as 2026-04-13. */
export const isoDay = (value) => isoDays.format(value);

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
