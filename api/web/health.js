// How everything stands: figures, feeds, streams with their tables, gaps. Asked for every two seconds.

import { ask } from "./door.js";
import * as format from "./format.js";

const STATUS_MS = 2000;
const GAPS_EVERY = 5; // of the status's rounds
const GAPS_SHOWN = 12;
const BEHIND_WARN = 1000; // events; at 20,000 ticks a second a batch is about as many
const STATES = { connected: "connected", closed: "markets closed", lost: "feed lost", silent: "no sign of life", unknown: "waiting for a beat" };
const $ = (id) => document.getElementById(id);

/** Events: "status" (detail: the answer), "failed" (detail: the error). */
export class Health extends EventTarget {
  #timer = 0;
  #round = 0;
  #running = false;

  start() {
    this.#running = true;
    this.#round = 0;
    this.#look();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  async #look() {
    try {
      const status = await ask("/api/status");
      this.#show(status);
      this.dispatchEvent(new CustomEvent("status", { detail: status }));
      if (this.#round++ % GAPS_EVERY === 0) this.#showGaps((await ask(`/api/gaps?limit=${GAPS_SHOWN}`)).gaps);
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    }
    if (this.#running) this.#timer = setTimeout(() => this.#look(), STATUS_MS);
  }

  #show(status) {
    const lags = status.feeds.map((feed) => feed.lag_ms).filter((lag) => lag !== null);
    const behind = status.projectors?.map((each) => each.lag_events).filter((lag) => lag !== null) ?? [];
    $("figure-ticks").textContent = format.count(status.ticks_per_second);
    $("figure-instruments").textContent = format.count(status.instruments);
    $("figure-delay").textContent = lags.length ? format.span(Math.max(...lags)) : "–";
    $("figure-behind").textContent = behind.length ? format.count(Math.max(...behind)) : "–";
    $("figure-behind").className = Math.max(0, ...behind) > BEHIND_WARN ? "warn" : "";
    $("figure-gaps").textContent = status.gaps ? format.count(status.gaps.recent) : "–";
    $("figure-gaps").className = status.gaps?.open ? "warn" : "";
    $("broker").hidden = false;
    $("broker").textContent = status.broker.join(" + ");
    $("problems").hidden = !status.problems.length;
    $("problems").textContent = status.problems.join(" · ");
    $("updated").textContent = `Status of ${format.time(new Date(status.at))} · ${status.clients} live ${status.clients === 1 ? "client" : "clients"}`;
    this.#feeds(status.feeds);
    this.#streams(status);
  }

  #feeds(feeds) {
    if (!feeds.length) {
      $("feeds").replaceChildren(format.make("p", "empty", "No feed yet: the ticker has not opened its stream."));
      return;
    }
    $("feeds").replaceChildren(
      ...feeds.map((feed) => {
        const card = format.make("div", "feed");
        const head = format.make("header");
        const state = format.make("span", "state");
        state.dataset.state = feed.state;
        state.append(format.make("i"), format.make("span", "", STATES[feed.state] ?? feed.state));
        head.append(format.make("span", "", `${feed.feed} ${feed.connection}`), state);
        const facts = format.make("dl");
        const pairs = [
          ["Ticks / s", format.count(feed.ticks_per_second)],
          ["Delay", format.span(feed.lag_ms)],
          ["Instruments", format.count(feed.instruments)],
          ["Last tick", feed.last_tick_at ? format.time(new Date(feed.last_tick_at)) : "–"],
        ];
        for (const [name, value] of pairs) {
          const pair = format.make("div");
          pair.append(format.make("dt", "", name), format.make("dd", "", value));
          facts.append(pair);
        }
        card.append(head, facts);
        const why = feed.down ?? feed.reason;
        const since = feed.gap_from ? `Nothing since ${format.time(new Date(feed.gap_from))}` : "Not connected";
        if (feed.gap_from || feed.down) {
          card.append(format.make("small", "warn", why ? `${since}: ${why}` : since));
        }
        return card;
      }),
    );
  }

  #streams({ streams, projectors }) {
    $("streams").replaceChildren(
      ...streams.map((stream) => {
        const row = format.make("tr");
        const chips = format.make("div", "chips");
        for (const each of projectors?.filter((one) => one.stream === stream.stream) ?? []) {
          const late = each.lag_events === null ? "" : each.lag_events ? ` −${format.count(each.lag_events)}` : " ✓";
          const chip = format.make("span", each.held && (each.lag_events ?? 0) <= BEHIND_WARN ? "chip" : "chip warn", `${each.projector}${late}`);
          chip.title = `committed up to ${format.count(each.n)}${each.held ? "" : "; nobody runs it"}`;
          chips.append(chip);
        }
        const tables = format.make("td");
        tables.append(chips);
        row.append(
          format.make("td", "", stream.stream),
          format.make("td", "n", format.count(stream.last)),
          format.make("td", "n dim", stream.archived ? format.count(stream.archived) : "–"),
          tables,
        );
        return row;
      }),
    );
  }

  #showGaps(gaps) {
    $("gaps-note").hidden = gaps.length > 0;
    $("gaps").replaceChildren(
      ...gaps.map((gap) => {
        const row = format.make("tr");
        const from = new Date(gap.from_time);
        const lasted = gap.to_time ? format.span(new Date(gap.to_time) - from) : "lasts";
        row.append(
          format.make("td", "", `${gap.feed} ${gap.connection}`),
          format.make("td", "", `${format.date(from)} ${format.time(from)}`),
          format.make("td", gap.to_time ? "n" : "n warn", lasted),
          format.make("td", "", gap.reason),
        );
        return row;
      }),
    );
  }
}
