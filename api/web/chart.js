// Candles with volume on a canvas. A minute that was not wholly received carries an amber mark: gaps are shown, not hidden.

import * as format from "./format.js";
import { fit } from "./spark.js";

const AXIS = 70; // px for prices at the right
const FOOT = 20; // px for times
const VOLUME = 0.18; // part of the height for volume
const STEP_MIN = 6; // px a candle
const COVERED = 0.995; // less than that is marked

/** Round steps (1, 2, 5 x 10^k) that cut a range into about `parts`. */
function niceStep(range, parts) {
  const rough = range / parts || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? rough;
}

export class Chart {
  #canvas;
  #candles = [];
  #interval = "1m";
  #tickSize = 0.05;
  #pointer = null;
  #frame = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#later()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX, event.offsetY));
    canvas.addEventListener("pointerleave", () => this.#point(null));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#later());
    document.addEventListener("theme", () => this.#later());
  }

  /** Show candles, oldest first, as the API gives them. */
  show(candles, interval, tickSize) {
    this.#candles = candles;
    this.#interval = interval;
    this.#tickSize = tickSize;
    this.#later();
  }

  /** Let the newest candle follow the last price. */
  follow(last) {
    const candle = this.#candles.at(-1);
    if (!candle || last === null) return;
    candle.close = last;
    candle.high = Math.max(candle.high, last);
    candle.low = Math.min(candle.low, last);
    this.#later();
  }

  #point(x, y = 0) {
    this.#pointer = x === null ? null : { x, y };
    this.#later();
  }

  #later() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const { context, width, height } = fit(this.#canvas);
    if (!this.#candles.length || width < AXIS * 2) return;
    const style = getComputedStyle(this.#canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const plot = width - AXIS;
    const fits = Math.max(8, Math.floor(plot / STEP_MIN));
    const shown = this.#candles.slice(-fits);
    const step = Math.min(plot / shown.length, 16);
    const left = plot - step * shown.length;
    const floor = height - FOOT;
    const volumeTop = floor - (floor * VOLUME);
    const low = Math.min(...shown.map((candle) => candle.low));
    const high = Math.max(...shown.map((candle) => candle.high));
    const pad = (high - low) * 0.06 || Math.abs(high) * 0.001 || 1;
    const y = (value) => 6 + (1 - (value - low + pad) / (high - low + 2 * pad)) * (volumeTop - 12);
    const x = (i) => left + (i + 0.5) * step;

    this.#grid(context, colour, { low, high, y, x, plot, floor, step, shown });
    const most = Math.max(...shown.map((candle) => candle.volume), 1);
    const body = Math.max(1, Math.floor(step * 0.68));
    shown.forEach((candle, i) => {
      const tone = colour(candle.close >= candle.open ? "up" : "down");
      const middle = Math.round(x(i));
      context.fillStyle = tone;
      context.globalAlpha = 0.28;
      const tall = (candle.volume / most) * (floor - volumeTop);
      context.fillRect(middle - body / 2, floor - tall, body, tall);
      context.globalAlpha = 1;
      context.fillRect(middle - 0.5, y(candle.high), 1, Math.max(1, y(candle.low) - y(candle.high)));
      const top = y(Math.max(candle.open, candle.close));
      context.fillRect(middle - body / 2, top, body, Math.max(1, y(Math.min(candle.open, candle.close)) - top));
      if (candle.coverage < COVERED) {
        context.fillStyle = colour("amber");
        context.fillRect(middle - body / 2, floor - 2, body, 3);
      }
    });
    this.#lastLine(context, colour, y, plot, shown.at(-1));
    if (this.#pointer && this.#pointer.x < plot) this.#cross(context, colour, { x, y, left, step, shown, plot, floor, low, high, pad, volumeTop });
  }

  #grid(context, colour, { low, high, y, x, plot, floor, step, shown }) {
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineWidth = 1;
    context.strokeStyle = colour("line");
    context.fillStyle = colour("soft");
    const gap = niceStep(high - low || high * 0.002, 5);
    for (let value = Math.ceil(low / gap) * gap; value <= high; value += gap) {
      const at = Math.round(y(value)) + 0.5;
      context.globalAlpha = 0.7;
      context.beginPath();
      context.moveTo(0, at);
      context.lineTo(plot, at);
      context.stroke();
      context.globalAlpha = 1;
      if (Math.abs(at - y(shown.at(-1).close)) > 14) context.fillText(format.price(value, this.#tickSize), plot + 6, at);
    }
    context.textAlign = "center";
    const every = Math.ceil(74 / step);
    for (let i = shown.length - 1 - Math.floor(every / 2); i >= 0; i -= every) {
      if (x(i) > 24 && x(i) < plot - 18) context.fillText(this.#label(shown[i]), x(i), floor + FOOT / 2 + 1);
    }
    context.textAlign = "left";
  }

  #label(candle) {
    const at = new Date(candle.bucket);
    if (this.#interval === "1d") return format.date(at);
    return this.#interval === "1h" ? `${format.date(at)} ${format.hourMinute(at)}` : format.hourMinute(at);
  }

  #lastLine(context, colour, y, plot, candle) {
    const at = Math.round(y(candle.close)) + 0.5;
    const tone = colour(candle.close >= candle.open ? "up" : "down");
    context.strokeStyle = tone;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(0, at);
    context.lineTo(plot, at);
    context.stroke();
    context.setLineDash([]);
    this.#tag(context, tone, colour("card"), plot, at, format.price(candle.close, this.#tickSize));
  }

  #tag(context, back, front, plot, at, text) {
    context.fillStyle = back;
    context.beginPath();
    context.roundRect(plot + 1, at - 9, AXIS - 2, 18, 4);
    context.fill();
    context.fillStyle = front;
    context.fillText(text, plot + 6, at);
  }

  #cross(context, colour, { x, y, left, step, shown, plot, floor, low, high, pad, volumeTop }) {
    const i = Math.max(0, Math.min(shown.length - 1, Math.floor((this.#pointer.x - left) / step)));
    const candle = shown[i];
    context.strokeStyle = colour("soft");
    context.setLineDash([2, 2]);
    context.beginPath();
    context.moveTo(Math.round(x(i)) + 0.5, 0);
    context.lineTo(Math.round(x(i)) + 0.5, floor);
    if (this.#pointer.y < volumeTop) {
      context.moveTo(0, this.#pointer.y);
      context.lineTo(plot, this.#pointer.y);
    }
    context.stroke();
    context.setLineDash([]);
    if (this.#pointer.y < volumeTop) {
      const value = low - pad + (1 - (this.#pointer.y - 6) / (volumeTop - 12)) * (high - low + 2 * pad);
      this.#tag(context, colour("soft"), colour("card"), plot, this.#pointer.y, format.price(value, this.#tickSize));
    }
    this.#legend(context, colour, candle, plot);
  }

  #legend(context, colour, candle, plot) {
    const price = (value) => format.price(value, this.#tickSize);
    const at = new Date(candle.bucket);
    const lines = [
      `${format.date(at)} ${format.hourMinute(at)}   vol ${format.compact(candle.volume)}${candle.coverage < COVERED ? `   seen ${Math.round(candle.coverage * 100)}%` : ""}`,
      `O ${price(candle.open)}  H ${price(candle.high)}  L ${price(candle.low)}  C ${price(candle.close)}`,
    ];
    const wide = Math.min(plot, Math.max(...lines.map((line) => context.measureText(line).width)) + 16);
    context.globalAlpha = 0.92;
    context.fillStyle = colour("card");
    context.beginPath();
    context.roundRect(4, 4, wide, 40, 6);
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = colour("ink");
    lines.forEach((line, row) => context.fillText(line, 12, 15 + row * 18));
  }
}
