"""What became of a run, for people: a log line, and the metrics of the account."""

from producers.accounts import note
from producers.accounts.pull import Got, Run
from runtime.account_metrics import (
    TRADE_SYNC_ERRORS,
    TRADE_SYNC_LAST_SUCCESS,
    TRADE_SYNC_ORDERS,
    TRADE_SYNC_REFUSED,
    TRADE_SYNC_SECONDS,
    TRADE_SYNC_TRADES,
)
from runtime.clock import NS_PER_SECOND
from runtime.log import get

_log = get("accounts")


def forget(account: str) -> None:
    """Tell no more of an account that is not pulled any more."""
    for gauge in (TRADE_SYNC_REFUSED, TRADE_SYNC_LAST_SUCCESS, TRADE_SYNC_ORDERS, TRADE_SYNC_TRADES):
        gauge.remove(account)


def report(run: Run) -> None:
    """Say how a run ended."""
    account, seconds = run.asked.account, (run.finished_ns - run.started_ns) / NS_PER_SECOND
    TRADE_SYNC_SECONDS.labels(account, run.outcome).observe(seconds)
    TRADE_SYNC_REFUSED.labels(account).set(run.outcome == "refused")
    if run.outcome == "ok":
        TRADE_SYNC_LAST_SUCCESS.labels(account).set(run.finished_ns / NS_PER_SECOND)
    for kind, gauge in (("orders", TRADE_SYNC_ORDERS), ("trades", TRADE_SYNC_TRADES)):
        got = run.got.get(kind)  # type: ignore[call-overload]  # a name out of the tuple is a Kind
        if got and got.answer:
            gauge.labels(account).set(got.rows)
    came: dict[str, Got] = dict(run.got.items())
    if run.charges:
        came[note.WHAT] = run.charges.last
    wrong = {kind: each for kind, each in came.items() if each.error}
    for each in wrong.values():
        TRADE_SYNC_ERRORS.labels(account, each.error_type).inc()
    said = {kind: f"{each.error_type}: {each.error.found}" for kind, each in wrong.items() if each.error}
    rows = {kind: each.rows for kind, each in came.items() if each.answer}
    tell = _log.warning if wrong else _log.debug
    tell(
        "accounts.pulled",
        account=account,
        outcome=run.outcome,
        trigger=run.asked.trigger,
        seconds=round(seconds, 3),
        rows=rows,
        **({"wrong": said} if said else {}),
    )
