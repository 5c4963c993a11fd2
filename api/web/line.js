// A websocket that is kept open: each time with a ticket of its own, after a loss again with growing waits.

import { ask } from "./door.js";

const RETRY_MS = [250, 1000, 2000, 5000];

/** Events: "open", "message" (detail: the message), "state" (detail: idle, waiting, live). */
export class Line extends EventTarget {
  #path;
  #socket = null;
  #failures = 0;
  #timer = 0;
  #running = false;

  constructor(path) {
    super();
    this.#path = path;
  }

  start() {
    this.#running = true;
    this.#open();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
    this.#tell("state", "idle");
  }

  /** Send a message; where the line is not open, "open" comes first, and it is up to its listener. */
  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  async #open() {
    this.#tell("state", "waiting");
    try {
      const { ticket } = await ask("/api/ws/ticket", { method: "POST" });
      if (!this.#running) return;
      const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${this.#path}?ticket=${ticket}`);
      this.#socket = socket;
      socket.onopen = () => {
        this.#failures = 0;
        this.#tell("open");
        this.#tell("state", "live");
      };
      socket.onmessage = (event) => this.#tell("message", JSON.parse(event.data));
      socket.onclose = () => socket === this.#socket && this.#again();
    } catch {
      this.#again();
    }
  }

  #again() {
    if (!this.#running) return;
    this.#tell("state", "waiting");
    const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait * (0.7 + 0.6 * Math.random()));
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
