// The tick socket: keeps a connection, tells what is wanted, resumes where it left off.

import { ask } from "./door.js";

const RETRY_MS = [250, 1000, 2000, 5000];
const RESUME_MS_MAX = 60_000; // older ticks are history: candles show them better than a replay

/** Events: "ticks" (detail: the ticks), "state" (detail: idle, waiting, live). */
export class Ticker extends EventTarget {
  #socket = null;
  #wanted = new Set();
  #cursor = null;
  #heardAt = 0;
  #failures = 0;
  #timer = 0;
  #running = false;

  start() {
    this.#running = true;
    this.#open();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
    this.#cursor = null;
    this.#tell("idle");
  }

  /** Set what is wanted; only the difference is sent. */
  want(tokens) {
    const next = new Set(tokens);
    const more = [...next].filter((token) => !this.#wanted.has(token));
    const less = [...this.#wanted].filter((token) => !next.has(token));
    this.#wanted = next;
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    if (more.length) this.#send({ action: "subscribe", tokens: more, depth: true });
    if (less.length) this.#send({ action: "unsubscribe", tokens: less });
  }

  async #open() {
    this.#tell("waiting");
    try {
      const { ticket } = await ask("/api/ws/ticket", { method: "POST" });
      if (!this.#running) return;
      const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/ws/ticks?ticket=${ticket}`);
      this.#socket = socket;
      socket.onopen = () => this.#begin();
      socket.onmessage = (event) => this.#hear(JSON.parse(event.data));
      socket.onclose = () => socket === this.#socket && this.#again();
    } catch {
      this.#again();
    }
  }

  #begin() {
    this.#failures = 0;
    const ask = { action: "subscribe", tokens: [...this.#wanted], depth: true };
    if (this.#cursor && Date.now() - this.#heardAt < RESUME_MS_MAX) ask.resume_from = this.#cursor;
    this.#send(ask);
    this.#tell("live");
  }

  #hear(message) {
    if (message.cursor) {
      this.#cursor = message.cursor;
      this.#heardAt = Date.now();
    }
    if (message.type === "ticks") this.dispatchEvent(new CustomEvent("ticks", { detail: message.ticks }));
    if (message.type === "error") console.warn("tick socket:", message.detail);
  }

  #again() {
    if (!this.#running) return;
    this.#tell("waiting");
    const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait * (0.7 + 0.6 * Math.random()));
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #tell(state) {
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
