// A change in an account as a person would say it. The rows are the broker's own: a field may be missing.

import * as format from "./format.js";

const AMOUNTS = ["quantity", "price", "trigger_price"];
const WORDS = { quantity: "quantity", price: "price", trigger_price: "trigger" };
const number = (value) => (value === null || value === undefined || value === "" ? "–" : format.exact(Number(value)).replace(/\.00$/, ""));

/** Give {what: the instrument or segment, did: what happened, tone, more: the rest}. */
export function sentence({ kind, change, before, after }) {
  const told = { orders: order, trades: trade, positions: standing, holdings: standing, margins: funds }[kind];
  const row = after ?? before ?? {};
  if (!told) return { what: kind, did: change, tone: "", more: "" };
  return told(row, before ?? {}, after ?? {}, change);
}

function order(row, before, after, change) {
  const what = row.tradingsymbol ?? "order";
  const tone = { COMPLETE: "up", REJECTED: "down", CANCELLED: "dim" }[row.status] ?? "warn";
  const wish = `${row.transaction_type ?? ""} ${number(row.quantity)} ${row.product ?? ""} ${row.order_type ?? ""}`;
  const filled = Number(after.filled_quantity) ? `${number(after.filled_quantity)} of ${number(after.quantity)} at ${number(after.average_price)}` : "";
  const why = after.status_message ?? "";
  if (change === "removed") return { what, did: "is not listed any more", tone: "dim", more: wish };
  if (change === "added") return { what, did: row.status, tone, more: [`new: ${wish}`, filled, why].filter(Boolean).join(", ") };
  const did = before.status === after.status ? after.status : `${before.status} → ${after.status}`;
  const edits = AMOUNTS.filter((name) => Number(before[name] ?? 0) !== Number(after[name] ?? 0)).map(
    (name) => `${WORDS[name]} ${number(before[name])} → ${number(after[name])}`,
  );
  const isFilled = before.filled_quantity !== after.filled_quantity;
  return { what, did, tone, more: [wish, ...edits, isFilled ? filled : "", why].filter(Boolean).join(", ") };
}

function trade(row, _, __, change) {
  const did = `${row.transaction_type ?? ""} ${number(row.quantity)} at ${number(row.average_price ?? row.price)}`;
  const tone = row.transaction_type === "SELL" ? "down" : "up";
  return { what: row.tradingsymbol ?? "trade", did: change === "added" ? did : `${did} ${change}`, tone, more: row.product ?? "" };
}

function standing(row, before, after, change) {
  const total = (each) => Number(each.quantity ?? 0) + Number(each.t1_quantity ?? 0);
  const what = row.tradingsymbol ?? "position";
  if (change === "removed") return { what, did: "is gone", tone: "dim", more: `${number(total(before))} ${row.product ?? ""}` };
  const from = `${number(change === "added" ? 0 : total(before))} → `;
  const isSame = change === "changed" && total(before) === total(after);
  const tone = total(after) > total(before) ? "up" : total(after) < total(before) ? "down" : "dim";
  const did = isSame ? `${number(total(after))}, told otherwise` : `${from}${number(total(after))}`;
  return { what, did, tone, more: [total(after) ? `at ${number(after.average_price)}` : "closed", row.product].filter(Boolean).join(", ") };
}

function funds(row, before, after, change) {
  const net = (each) => {
    const value = Number(each.net ?? NaN);
    return Number.isNaN(value) ? "–" : `${value < 0 ? "-" : ""}₹${format.price(Math.abs(value))}`;
  };
  const did = change === "changed" ? (before.net === after.net ? `${net(after)}, told otherwise` : `${net(before)} → ${net(after)}`) : `${net(row)}${change === "removed" ? " is not told any more" : ""}`;
  return { what: "Funds", did, tone: "", more: "" };
}
