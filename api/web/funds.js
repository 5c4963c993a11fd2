// An account's funds by segment, as the broker tells of them.

import * as format from "./format.js";
import { put } from "./rows.js";

const $ = (id) => document.getElementById(id);
const words = (name) => name.replaceAll("_", " ");

export class Funds {
  news(account) {
    return account.kinds.margins?.synced_at ?? "never";
  }

  clear() {
    $("funds").replaceChildren();
    put($("funds-note"), "Loading…");
    $("funds-note").hidden = false;
  }

  fail(error) {
    put($("funds-note"), error.status ? error.message : "The server does not answer.");
  }

  async load(asking, _, isCurrent) {
    const { margins } = await asking("margins");
    if (!isCurrent()) return;
    $("funds-note").hidden = margins.length > 0;
    put($("funds-note"), "No funds are known.");
    $("funds").replaceChildren(...margins.map(segment));
  }
}

function segment({ segment, net, available, utilised, enabled }) {
  const part = format.make("div", "segment");
  const head = format.make("h3");
  head.append(format.make("span", "", `${segment}${enabled === false ? " (not enabled)" : ""}`), format.make("b", net < 0 ? "down" : "", format.price(net)));
  part.append(head);
  for (const [title, amounts] of [["Available", available], ["Used", utilised]]) {
    const list = format.make("dl", "facts");
    for (const [name, value] of Object.entries(amounts).filter(([, value]) => value)) {
      const pair = format.make("div");
      pair.append(format.make("dt", "", words(name)), format.make("dd", "", Number.isNaN(Number(value)) ? value : format.price(value)));
      list.append(pair);
    }
    if (list.children.length) part.append(format.make("h4", "", title), list);
  }
  return part;
}
