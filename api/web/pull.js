// "Pull now": have the broker asked for all of an account, and say what came of it.

import { ask } from "./door.js";
import { put } from "./rows.js";

const KINDS = ["orders", "trades", "positions", "holdings", "margins"];
const WAIT_SECONDS = 30; // a busy budget of calls, and a slow broker

/** What became of each account's pull: {state: asked | ok | failed, text}. Events: "done" (detail: the account). */
export class Pulls extends EventTarget {
  #by = new Map();

  of(account) {
    return this.#by.get(account);
  }

  /** Ask for everything, and wait for it. */
  async pull(account) {
    if (this.of(account)?.state === "asked") return;
    this.#tell(account, "asked", "Asking the broker…");
    try {
      const path = `/accounts/${encodeURIComponent(account)}`;
      const answers = await Promise.all(KINDS.map((kind) => ask(`${path}/${kind}?fresh=true&limit=1&wait=${WAIT_SECONDS}`)));
      const why = answers.find((answer) => !answer.fresh)?.stale_because;
      if (why) this.#tell(account, "failed", why);
      else this.#tell(account, "ok", said(await ask(path)));
    } catch (error) {
      this.#tell(account, "failed", error.status ? error.message : "The server does not answer.");
    }
  }

  clear() {
    this.#by.clear();
  }

  #tell(account, state, text) {
    this.#by.set(account, { state, text });
    this.dispatchEvent(new CustomEvent("done", { detail: account }));
  }
}

function said({ kinds }) {
  return `Pulled: ${kinds.orders?.rows ?? 0} orders, ${kinds.trades?.rows ?? 0} trades, with positions, holdings and funds.`;
}

/** Let a button say how its account's pull stands; its width stays. */
export function dress(button, pull) {
  button.disabled = pull?.state === "asked";
  put(button, pull?.state === "asked" ? "Pulling…" : "Pull now");
}
