// What came of the pulls of an account, the newest first.

import * as format from "./format.js";
import { put, Rows } from "./rows.js";
import { when } from "./trading.js";

const SHOWN = 50;
const TONES = { ok: "up", partial: "warn", failed: "down", refused: "down" };
const WHY = { schedule: "on schedule", start: "at the start", close: "after the close", request: "asked for", update: "an order changed" };
const $ = (id) => document.getElementById(id);

export class Runs {
  #table = new Rows(
    $("runs-rows"),
    [
      ["when", "Began", (cell, each) => put(cell, when(each.started_at))],
      ["n", "Took", (cell, each) => put(cell, format.span(Date.parse(each.finished_at) - Date.parse(each.started_at)))],
      ["", "Outcome", (cell, each) => put(cell, each.outcome, TONES[each.outcome] ?? "")],
      ["wide", "Why", (cell, each) => put(cell, WHY[each.trigger] ?? each.trigger)],
      ["", "What came", (cell, each) => put(cell, each.error ?? came(each))],
    ],
    (each) => String(each.n),
  );

  news(account) {
    return account.last_sync_at ?? "never";
  }

  clear() {
    this.#table.show([]);
    this.#note("Loading…");
  }

  fail(error) {
    this.#note(error.status ? error.message : "The server does not answer.");
  }

  async load(asking, account, isCurrent) {
    const { runs } = await asking(`/sync/history?account_id=${encodeURIComponent(account.account_id)}&limit=${SHOWN}`);
    if (!isCurrent()) return;
    this.#table.show(runs);
    $("runs-note").hidden = runs.length > 0;
    put($("runs-note"), "No pull is over yet.");
  }

  #note(text) {
    $("runs-note").hidden = false;
    put($("runs-note"), text);
  }
}

function came({ results }) {
  const parts = Object.entries(results).map(([kind, each]) => `${each.rows} ${kind}${each.unchanged ? " (as before)" : ""}`);
  return parts.join(", ");
}
