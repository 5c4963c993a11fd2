// The positions and holdings of all accounts, and what they are worth as prices move. They are asked for again when the
// broker was asked again; the chosen account first, the others a few at a time.

import { ask } from "./door.js";
import { ofHolding, ofPosition, sum, value } from "./valuation.js";

const AT_ONCE = 3;
const AGAIN_MS = 10_000; // an account that is pulled with every order is asked for no more often
const MOVED_MS = 500; // how often figures follow prices: faster, nobody reads them

/** All pages of a list. */
export async function all(path, name) {
  const found = [];
  let told = null;
  for (let cursor = ""; ; ) {
    const page = await ask(`${path}${path.includes("?") ? "&" : "?"}limit=1000${cursor}`);
    found.push(...page[name]);
    told ??= page;
    if (!page.next) return { rows: found, told };
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
}

/** Events: "listed" (other instruments are held), "moved" (detail: a set of accounts whose figures moved). */
export class Portfolios extends EventTarget {
  #books = new Map();
  #prices = new Map();
  #holders = new Map();
  #waiting = [];
  #loading = 0;
  #moved = new Set();
  #timer = 0;

  /** Keep in step with these accounts, as GET /accounts gives them. */
  follow(accounts, chosen) {
    for (const account of accounts) {
      const { positions, holdings } = account.kinds;
      const asked = `${positions?.synced_at ?? ""} ${holdings?.synced_at ?? ""}`;
      const book = this.#books.get(account.account_id) ?? { lines: [], asked: "", at: 0, known: false };
      this.#books.set(account.account_id, book);
      if (!(positions || holdings) || book.asked === asked || book.waits) continue; // nothing came yet, or nothing new
      const isChosen = account.account_id === chosen;
      if (!isChosen && book.known && Date.now() - book.at < AGAIN_MS) continue;
      book.waits = true;
      this.#waiting[isChosen ? "unshift" : "push"]({ account: account.account_id, asked });
    }
    for (let i = 0; i < AT_ONCE; i++) this.#next();
  }

  /** Take ticks: {instrument_token, last_price, received_at}. */
  take(ticks) {
    for (const tick of ticks) {
      this.#prices.set(tick.instrument_token, { last: tick.last_price, at: tick.received_at ?? tick.time });
      this.#holders.get(tick.instrument_token)?.forEach((account) => this.#move(account));
    }
    if (this.#moved.size) this.#tell();
  }

  tokens() {
    return [...this.#holders.keys()];
  }

  isKnown(account) {
    return this.#books.get(account)?.known ?? false;
  }

  /** Give the lines of an account with their values, `null` before they came. */
  lines(account) {
    const book = this.#books.get(account);
    return book?.known ? book.lines.map((line) => ({ ...line, now: value(line, this.#prices.get(line.token)) })) : null;
  }

  /** Sum an account up, `null` before it came. */
  total(account) {
    const book = this.#books.get(account);
    if (!book?.known) return null;
    if (!book.total) {
      const lines = this.lines(account);
      book.total = { ...sum(lines.map((line) => line.now)), open: lines.filter((line) => line.quantity).length };
    }
    return book.total;
  }

  clear() {
    this.#books.clear();
    this.#holders.clear();
    this.#waiting = [];
  }

  async #next() {
    if (this.#loading >= AT_ONCE) return;
    const wish = this.#waiting.shift();
    if (!wish) return;
    this.#loading += 1;
    await this.#load(wish);
    this.#loading -= 1;
    this.#next();
  }

  async #load({ account, asked }) {
    const book = this.#books.get(account);
    if (!book) return;
    try {
      const path = `/accounts/${encodeURIComponent(account)}`;
      const [positions, holdings] = await Promise.all([all(`${path}/positions`, "positions"), all(`${path}/holdings`, "holdings")]);
      book.lines = [
        ...positions.rows.map((each) => ofPosition(each, positions.told.synced_at)),
        ...holdings.rows.map((each) => ofHolding(each, holdings.told.synced_at)),
      ];
      book.asked = asked;
      book.known = true;
      this.#hold(account, book.lines);
    } catch {
      book.asked = ""; // it is asked for again with the next look at the accounts
    }
    book.at = Date.now();
    book.waits = false;
    this.#move(account);
    this.#tell();
  }

  #move(account) {
    this.#moved.add(account);
    const book = this.#books.get(account);
    if (book) book.total = null;
  }

  #hold(account, lines) {
    const tokens = new Set(lines.filter((line) => line.units && line.token).map((line) => line.token));
    const before = this.#holders.size;
    let gone = 0;
    for (const [token, accounts] of this.#holders) {
      if (tokens.has(token) || !accounts.delete(account) || accounts.size) continue;
      this.#holders.delete(token);
      gone += 1;
    }
    tokens.forEach((token) => this.#holders.set(token, (this.#holders.get(token) ?? new Set()).add(account)));
    if (gone || this.#holders.size !== before) this.dispatchEvent(new Event("listed"));
  }

  #tell() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      const moved = this.#moved;
      this.#moved = new Set();
      this.dispatchEvent(new CustomEvent("moved", { detail: moved }));
    }, MOVED_MS);
  }
}
