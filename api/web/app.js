// The page: who is in sees the desk, who is not the login. Everything that moves is wired together here.

import { Account } from "./account.js";
import { Actions } from "./actions.js";
import { Changes } from "./changes.js";
import { Detail } from "./detail.js";
import { ask, doors, isOpen, logIn, logOut, takeCode } from "./door.js";
import * as format from "./format.js";
import { Health } from "./health.js";
import { Preview } from "./preview.js";
import { Portfolios } from "./portfolios.js";
import { Pulls } from "./pull.js";
import { Roster } from "./roster.js";
import { nameStrategies, Rules } from "./rules.js";
import { Strategy } from "./strategy.js";
import { Strategies } from "./strategies.js";
import * as theme from "./theme.js";
import { Ticker } from "./ticker.js";
import { Views } from "./views.js";
import { Watchlist } from "./watchlist.js";

const LIST_MS = 15_000; // new instruments appear within this
const LINKS = { idle: "Not connected", waiting: "Connecting…", live: "Live", lost: "No answer" };
const wide = matchMedia("(min-width: 68rem)");
const $ = (id) => document.getElementById(id);

const ticker = new Ticker();
const watchlist = new Watchlist();
const detail = new Detail();
const health = new Health();
const portfolios = new Portfolios();
const pulls = new Pulls();
const roster = new Roster(portfolios, pulls);
const account = new Account(portfolios, pulls);
const actions = new Actions();
const changes = new Changes();
const strategies = new Strategies();
const strategy = new Strategy();
const rules = new Rules();
const preview = new Preview();
const views = new Views();
let chosen = null;
let listed = [];
let listTimer = 0;
let known = "";
let closed = false; // the user closed the detail: it stays so
let accountClosed = false;

function link(state) {
  $("link").dataset.state = state;
  $("link").lastChild.textContent = LINKS[state];
}

async function list() {
  clearTimeout(listTimer);
  try {
    const { instruments } = await ask("/api/watchlist");
    const now = JSON.stringify(instruments);
    if (now !== known) {
      known = now;
      watchlist.set(instruments);
      const { ticks } = await ask("/api/latest");
      watchlist.take(ticks);
      portfolios.take(ticks);
      if (wide.matches && !closed) watchlist.chooseFirst();
    }
  } catch {
    known = ""; // the status says what is wrong
  }
  listTimer = setTimeout(list, known && known !== "[]" ? LIST_MS : 1500);
}

function open() {
  $("login").hidden = true;
  $("desk").hidden = false;
  $("leave").hidden = false;
  $("views").hidden = false;
  ticker.start();
  health.start();
  nameStrategies().catch(() => {}); // the view of the strategies asks again
  list();
  views.read();
}

function close() {
  ticker.stop();
  health.stop();
  roster.stop();
  changes.stop();
  strategies.stop();
  portfolios.clear();
  pulls.clear();
  clearTimeout(listTimer);
  known = "";
  $("desk").hidden = true;
  $("leave").hidden = true;
  $("views").hidden = true;
  $("login").hidden = false;
  $("key").focus();
}

function refuse(text) {
  $("login-wrong").hidden = false;
  $("login-wrong").textContent = text;
}

/** The prices that are wanted: what is listed, what is chosen, what is held. */
const want = () => ticker.want(new Set([...listed, ...(chosen ? [chosen.instrument_token] : []), ...portfolios.tokens()]));

/** Let an account be chosen, or all of them. */
function offer(select) {
  if (select.options.length === roster.accounts.length + 1) return;
  const kept = select.value;
  select.replaceChildren(new Option("all accounts", ""), ...roster.accounts.map((each) => new Option(each.account_id, each.account_id)));
  select.value = kept;
}

/** Show the account that the address names; where there is room, the first one. */
function showAccount(id) {
  const wanted = views.now === "accounts" ? id : "";
  const found = roster.accounts.find((each) => each.account_id === wanted);
  roster.choose(found?.account_id ?? "");
  $("view-accounts").classList.toggle("split", Boolean(found));
  if (found) account.show(found);
  else account.hide();
  if (!found && views.now === "accounts" && wide.matches && !accountClosed && roster.accounts.length) {
    views.go("accounts", roster.accounts[0].account_id, { quietly: true });
  }
}

ticker.addEventListener("state", (event) => link(event.detail));
ticker.addEventListener("ticks", (event) => {
  watchlist.take(event.detail);
  portfolios.take(event.detail);
  if (!chosen) return;
  const last = event.detail.findLast((tick) => tick.instrument_token === chosen.instrument_token);
  if (last) detail.update(last);
});
watchlist.addEventListener("listed", (event) => {
  listed = event.detail;
  want();
});
watchlist.addEventListener("chosen", (event) => {
  chosen = event.detail;
  $("view-market").classList.add("split");
  detail.show(chosen, watchlist.tick(chosen.instrument_token));
  if (!wide.matches) $("detail").scrollIntoView({ behavior: "smooth", block: "start" });
  want();
});
detail.addEventListener("close", () => {
  closed = true;
  chosen = null;
  $("view-market").classList.remove("split");
  detail.hide();
  watchlist.unchoose();
  want();
});
/** Show the strategy that the address names. */
function showStrategy() {
  if (views.now !== "strategies") return;
  const found = strategies.all().find((each) => each.strategy_id === views.chosen);
  if (found) strategy.show(found, $("strategy-account").value);
  else strategy.hide();
}

portfolios.addEventListener("listed", want);
views.addEventListener("shown", (event) => {
  showAccount(event.detail.chosen);
  const { name, chosen } = event.detail;
  if (name === "accounts") actions.look();
  if (name === "accounts" || name === "strategies") roster.start();
  else roster.stop();
  if (name === "changes") changes.start();
  else changes.stop();
  if (name === "strategies") {
    strategies.choose(chosen);
    showStrategy();
    strategies.start();
    rules.look().then(() => preview.look());
  } else strategies.stop();
});
strategies.addEventListener("chosen", (event) => {
  views.go("strategies", event.detail);
  if (!wide.matches) $("strategy").scrollIntoView({ block: "start" });
});
strategies.addEventListener("listed", showStrategy);
strategy.addEventListener("changed", () => strategies.look());
rules.addEventListener("decided", () => {
  strategies.look();
  preview.look();
});
$("strategy-close").addEventListener("click", () => views.go("strategies"));
changes.addEventListener("chosen", (event) => views.go("accounts", event.detail));
roster.addEventListener("listed", () => {
  showAccount(views.chosen);
  for (const id of ["rule-account", "strategy-account"]) offer($(id));
});
roster.addEventListener("chosen", (event) => {
  accountClosed = false;
  views.go("accounts", event.detail);
  if (!wide.matches) $("account").scrollIntoView({ block: "start" });
});
account.addEventListener("act", (event) => actions.fill(event.detail));
actions.addEventListener("decided", () => account.again());
account.addEventListener("close", () => {
  accountClosed = true;
  views.go("accounts");
});
health.addEventListener("failed", (event) => {
  if (event.detail.status === 401) return;
  $("problems").hidden = false;
  $("problems").textContent = event.detail.status ? event.detail.message : "The server does not answer; this page tries again.";
});
doors.addEventListener("closed", close);
$("leave").addEventListener("click", () => logOut().finally(close));
$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("login-wrong").hidden = true;
  try {
    await logIn({ key: $("key").value.trim() });
    $("key").value = "";
    open();
  } catch (error) {
    refuse(error.status === 401 ? "That is not the key." : error.message);
  }
});
setInterval(() => ($("clock").textContent = `${format.time(new Date())} IST`), 1000);

theme.start($("theme"));
const code = takeCode();
try {
  if (code) await logIn({ code });
} catch (error) {
  refuse(error.status === 401 ? "The code of this URL was used or is too old. Enter the key." : error.message);
}
try {
  if (await isOpen()) open();
  else close();
} catch {
  close();
  refuse("The server does not answer. Reload this page when it runs.");
}
