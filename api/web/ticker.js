// The live ticks: tells what is wanted, resumes where it left off.

import { Line } from "./line.js";

const RESUME_MS_MAX = 60_000; // older ticks are history: candles show them better than a replay

/** Events: "ticks" (detail: the ticks), "state" (detail: idle, waiting, live). */
export class Ticker extends EventTarget {
  #line = new Line("/api/ws/ticks");
  #wanted = new Set();
  #cursor = null;
  #heardAt = 0;

  constructor() {
    super();
    this.#line.addEventListener("open", () => this.#begin());
    this.#line.addEventListener("message", (event) => this.#hear(event.detail));
    this.#line.addEventListener("state", (event) => this.dispatchEvent(new CustomEvent("state", { detail: event.detail })));
  }

  start() {
    this.#line.start();
  }

  stop() {
    this.#line.stop();
    this.#cursor = null;
  }

  /** Set what is wanted; only the difference is sent. */
  want(tokens) {
    const next = new Set(tokens);
    const more = [...next].filter((token) => !this.#wanted.has(token));
    const less = [...this.#wanted].filter((token) => !next.has(token));
    this.#wanted = next;
    if (more.length) this.#line.send({ action: "subscribe", tokens: more, depth: true });
    if (less.length) this.#line.send({ action: "unsubscribe", tokens: less });
  }

  #begin() {
    const wish = { action: "subscribe", tokens: [...this.#wanted], depth: true };
    if (this.#cursor && Date.now() - this.#heardAt < RESUME_MS_MAX) wish.resume_from = this.#cursor;
    this.#line.send(wish);
  }

  #hear(message) {
    if (message.cursor) {
      this.#cursor = message.cursor;
      this.#heardAt = Date.now();
    }
    if (message.type === "ticks") this.dispatchEvent(new CustomEvent("ticks", { detail: message.ticks }));
    if (message.type === "error") console.warn("tick socket:", message.detail);
  }
}
