// The equity after each day on a canvas: above the start in one colour, below it in the other; falls from the highest so
// far are shaded. The pointer, or the arrow keys, read a day.

import * as format from "./format.js";
import { fit } from "./spark.js";

const AXIS = 74; // px for rupees at the right
const FOOT = 20; // px for days
const LABEL = 90; // px that a day below needs

export class Equity {
  #canvas;
  #points = [];
  #at = null;
  #frame = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#later()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.#point(this.#nearest(event.offsetX)));
    canvas.addEventListener("pointerleave", () => this.#point(null));
    canvas.addEventListener("blur", () => this.#point(null));
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move || !this.#points.length) return;
      event.preventDefault();
      const last = this.#points.length - 1;
      this.#point(Math.max(0, Math.min(last, (this.#at ?? last + (move < 0 ? 1 : 0)) + move)));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#later());
    document.addEventListener("theme", () => this.#later());
  }

  /** Show points, the oldest first: {day, net, equity}. */
  show(points) {
    this.#points = points;
    this.#at = null;
    this.#later();
  }

  #nearest(x) {
    const wide = this.#canvas.clientWidth - AXIS;
    const last = this.#points.length - 1;
    return last < 0 ? null : Math.max(0, Math.min(last, Math.round((x / wide) * last)));
  }

  #point(at) {
    this.#at = at;
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
    if (!this.#points.length || width < AXIS * 2) return;
    const style = getComputedStyle(this.#canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const plot = width - AXIS;
    const floor = height - FOOT;
    const values = this.#points.map((point) => point.equity);
    const start = this.#points[0].equity - this.#points[0].net;
    const low = Math.min(start, ...values);
    const high = Math.max(start, ...values);
    const pad = (high - low) * 0.08 || Math.abs(high) * 0.01 || 1;
    const last = this.#points.length - 1;
    const x = (i) => (last ? (i / last) * (plot - 6) + 3 : plot / 2);
    const y = (value) => 4 + (1 - (value - low + pad) / (high - low + 2 * pad)) * (floor - 8);

    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.#axis(context, colour, { low, high, y, x, plot, floor });
    this.#falls(context, colour, { values, start, x, y });
    const tone = colour(values[last] >= start ? "up" : "down");
    context.beginPath();
    values.forEach((value, i) => context.lineTo(x(i), y(value)));
    context.strokeStyle = tone;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.stroke();
    context.beginPath();
    context.arc(x(last), y(values[last]), 3, 0, 7);
    context.fillStyle = tone;
    context.fill();
    context.strokeStyle = colour("faint");
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(0, Math.round(y(start)) + 0.5);
    context.lineTo(plot, Math.round(y(start)) + 0.5);
    context.stroke();
    context.setLineDash([]);
    if (this.#at !== null) this.#read(context, colour, { x, y, plot, floor });
  }

  #axis(context, colour, { low, high, y, x, plot, floor }) {
    context.fillStyle = colour("soft");
    context.textAlign = "left";
    const wanted = [high, (high + low) / 2, low].filter((value, i, all) => all.indexOf(value) === i);
    for (const value of wanted) context.fillText(format.compact(value), plot + 8, y(value));
    const step = Math.max(1, Math.ceil(LABEL / ((plot - 6) / Math.max(1, this.#points.length - 1))));
    for (let i = 0; i < this.#points.length; i += step) {
      context.textAlign = i === 0 ? "left" : "center";
      if (x(i) < plot - LABEL / 3) context.fillText(format.date(dayOf(this.#points[i])), x(i), floor + FOOT / 2);
    }
    context.textAlign = "left";
  }

  /** Shade what lies between the highest so far and the equity. */
  #falls(context, colour, { values, start, x, y }) {
    let highest = start;
    const tops = values.map((value) => (highest = Math.max(highest, value)));
    context.beginPath();
    tops.forEach((value, i) => context.lineTo(x(i), y(value)));
    for (let i = values.length - 1; i >= 0; i--) context.lineTo(x(i), y(values[i]));
    context.globalAlpha = 0.14;
    context.fillStyle = colour("down");
    context.fill();
    context.globalAlpha = 1;
  }

  #read(context, colour, { x, y, plot, floor }) {
    const point = this.#points[this.#at];
    const at = Math.round(x(this.#at)) + 0.5;
    context.strokeStyle = colour("soft");
    context.beginPath();
    context.moveTo(at, 0);
    context.lineTo(at, floor);
    context.stroke();
    context.beginPath();
    context.arc(at, y(point.equity), 3.5, 0, 7);
    context.fillStyle = colour("ink");
    context.fill();
    const text = `${format.date(dayOf(point))}   day ${format.money(point.net)}   in all ${format.money(point.equity)}`;
    const wide = context.measureText(text).width + 16;
    context.fillStyle = colour("card");
    context.globalAlpha = 0.92;
    context.beginPath();
    context.roundRect(Math.max(2, Math.min(at - wide / 2, plot - wide)), 2, wide, 20, 6);
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = colour("ink");
    context.fillText(text, Math.max(2, Math.min(at - wide / 2, plot - wide)) + 8, 12);
  }
}

/** The noon of an IST day, which is that day everywhere in India. */
const dayOf = (point) => new Date(`${point.day}T12:00:00+05:30`);
