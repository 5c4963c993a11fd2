// "Pull now": have the broker asked for all of an account, and say what came of it: of the very run that answers.

import { ask } from "./door.js";
import { put } from "./rows.js";

const LOOK_MS = 500;
const WAIT_MS = 60_000; // a busy budget of calls, and a slow broker that is tried three times
const TOLD_MS = 60_000; // then the account's own state says enough
const RUNS = 10; // of an account since it was asked for: others are pulls that an order triggered
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** What became of each account's pull: {state: asked | ok | failed, text}. Events: "done" (detail: the account). */
export class Pulls extends EventTarget {
  #by = new Map();

  of(account) {
    const pull = this.#by.get(account);
    return pull && (pull.state === "asked" || Date.now() - pull.at < TOLD_MS) ? pull : undefined;
  }

  /** Ask for everything, and wait for it. */
  async pull(account) {
    if (this.of(account)?.state === "asked") return;
    this.#tell(account, "asked", "Asking the broker…");
    try {
      const { stream, request } = await ask(`/sync/all/${encodeURIComponent(account)}`, { method: "POST" });
      const run = await answering(account, stream, request);
      if (!run) this.#tell(account, "failed", "No pull has answered within a minute. Is bahi sync running, and is it well? bahi doctor tells.");
      else this.#tell(account, run.success ? "ok" : "failed", said(run));
    } catch (error) {
      this.#tell(account, "failed", error.status ? error.message : "The server does not answer.");
    }
  }

  clear() {
    this.#by.clear();
  }

  #tell(account, state, text) {
    this.#by.set(account, { state, text, at: Date.now() });
    this.dispatchEvent(new CustomEvent("done", { detail: account }));
  }
}

/** Give the run that answers a request, null where none did in time. */
async function answering(account, stream, request) {
  for (const until = Date.now() + WAIT_MS; Date.now() < until; await pause(LOOK_MS)) {
    const { runs } = await ask(`/sync/history?account_id=${encodeURIComponent(account)}&limit=${RUNS}`);
    const run = runs.find(({ asked }) => asked.some(([at, n]) => at === stream && n === request));
    if (run) return run;
  }
  return null;
}

function said({ outcome, results, error }) {
  if (outcome !== "ok" && outcome !== "partial") return `${outcome}: ${error ?? "nothing came"}`;
  const parts = Object.entries(results).map(([kind, each]) => {
    if (!each.ok) return `no ${kind}`;
    return kind === "orders" || kind === "trades" ? `${each.rows} ${kind}` : kind;
  });
  return `${outcome === "ok" ? "Pulled" : outcome}: ${parts.join(", ")}${error ? `; ${error}` : ""}.`;
}

/** Let a button say how its account's pull stands; its width stays. */
export function dress(button, pull) {
  button.disabled = pull?.state === "asked";
  put(button, pull?.state === "asked" ? "Pulling…" : "Pull now");
}
