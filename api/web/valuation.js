// What a position or a holding is worth now: the broker's own figure, moved on by the live price.
//
// The broker says `pnl` at its `last_price`; since then the price moved by so much, and each unit with it. That holds for
// long and short, for what is closed (no units), and whatever was realised on the way. Where no price newer than the
// broker's answer is known, its figure stands as it is. These are figures for the eye, in floating point; the books
// are reckoned to the paisa elsewhere.

/** What is common to a position and a holding. units: price units; null figures were not told. */
export function ofPosition(each, syncedAt) {
  return {
    key: `p ${each.exchange} ${each.tradingsymbol} ${each.product}`,
    kind: "position",
    token: each.instrument_token,
    quantity: each.quantity,
    units: each.quantity * each.multiplier,
    last: each.last_price,
    pnl: each.pnl,
    day: each.day_pnl,
    told: syncedAt,
    of: each,
  };
}

export function ofHolding(each, syncedAt) {
  const quantity = each.quantity + each.t1_quantity + (each.collateral_quantity ?? 0);
  return {
    key: `h ${each.exchange} ${each.tradingsymbol}`,
    kind: "holding",
    token: each.instrument_token,
    quantity,
    units: quantity,
    last: each.last_price,
    pnl: each.pnl,
    day: each.day_change === null ? null : each.day_change * quantity,
    told: syncedAt,
    of: each,
  };
}

/** Give last price, pnl and day's pnl now. live: by a price that is newer than the broker's answer; streamed: there is any. */
export function value(line, price) {
  if (!line.units) return { last: price?.last ?? line.last, pnl: line.pnl, day: line.day, live: true, streamed: true };
  if (!price || line.last === null || price.at < line.told)
    return { last: line.last, pnl: line.pnl, day: line.day, live: false, streamed: Boolean(price) };
  const moved = line.units * (price.last - line.last);
  const plus = (figure) => (figure === null ? null : figure + moved);
  return { last: price.last, pnl: plus(line.pnl), day: plus(line.day), live: true, streamed: true };
}

/** Sum up. told: how many are the broker's figures; unknown: how many have no figure at all. */
export function sum(values) {
  const total = { pnl: 0, day: 0, told: 0, unknown: 0, lines: values.length };
  for (const each of values) {
    total.pnl += each.pnl ?? 0;
    total.day += each.day ?? 0;
    total.told += each.live ? 0 : 1;
    total.unknown += each.pnl === null ? 1 : 0;
  }
  return total;
}
