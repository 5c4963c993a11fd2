// An order or a trade given to a strategy by hand, or back to its rules.

import { decide, say } from "./decisions.js";
import * as format from "./format.js";

/** Make the form for {account_id, day, exchange, order_id, trade_id or none}; `done` runs when it counts. */
export function assignment(of, done) {
  const ids = { account_id: of.account_id, day: of.day, exchange: of.exchange, order_id: of.order_id };
  if (of.trade_id) ids.trade_id = of.trade_id;
  const form = format.make("form", "assign");
  const label = format.make("label", "", `Give this ${of.trade_id ? "trade" : "order"} to `);
  const input = format.make("input");
  Object.assign(input, { name: "strategy", required: true, placeholder: "strategy", spellcheck: false, autocomplete: "off", maxLength: 64 });
  input.setAttribute("list", "strategy-names");
  label.append(input);
  const give = Object.assign(format.make("button", "small-button", "Give"), { type: "submit" });
  const back = Object.assign(format.make("button", "small-button", "Take back"), { type: "button", title: "its tags and the other rules count again" });
  back.hidden = !of.strategy_reason.startsWith("by hand");
  const said = format.make("p", "said");
  said.role = "status";
  form.append(label, give, back, said);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    say(said, decide("/api/attributions", { body: { ...ids, strategy_id: input.value.trim() } }), done);
  });
  back.addEventListener("click", () => say(said, decide(`/api/attributions?${new URLSearchParams(ids)}`, { method: "DELETE" }), done));
  return form;
}
