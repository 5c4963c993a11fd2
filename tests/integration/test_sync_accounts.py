"""The poller of accounts: what the broker says lies in the log as it came, on the schedule."""

import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from events.accounts import (
    KINDS,
    STREAM,
    AccountSet,
    Forwarded,
    Known,
    OrderUpdated,
    PullAccounts,
    RuleRemoved,
    RuleSet,
    StrategySet,
    SyncRun,
    TariffSet,
)
from events.event import Event
from events.messages import Subscribe, unpack
from producers.accounts.kept import KEPT_FILE, Kept
from runtime.settings import Settings
from runtime.tariffs import shipped
from runtime.vault import Vault
from tests.exchange import call
from tests.patience import until
from tests.pollers import OWN, Bodies, known, syncing, told, until_runs, whole
from tests.ports import free_port
from tests.tickers import Watcher, bring_token, market


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


async def test_all_kinds_of_the_sandboxs_user_lie_in_the_log_as_they_came(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange:
        async with syncing(settings):
            (run,) = await until_runs(watcher, 1)
        headers = {"Authorization": f"token sandbox:{await bring_token(settings, exchange)}"}
        paths = {"orders": "/orders", "trades": "/trades", "margins": "/user/margins"}
        wanted = {kind: (await call(exchange, "GET", path, headers=headers))[1] for kind, path in paths.items()}
    assert (run.account, run.trigger, run.outcome, set(run.kinds)) == (OWN, "start", "ok", set(KINDS))
    heard = await watcher.all(STREAM)
    assert heard[0].type == "log.takeover.v1"
    assert (await known(watcher))[OWN].user == OWN
    bodies = Bodies(heard).last
    assert set(bodies) == {(OWN, kind) for kind in KINDS}
    assert {kind: json.loads(bodies[OWN, kind]) for kind in paths} == wanted  # type: ignore[index]  # each is a Kind


async def test_what_has_not_changed_is_recorded_without_its_body_and_again_after_a_start(
    settings: Settings, watcher: Watcher
) -> None:
    settings = msgspec.structs.replace(settings, sync_interval_seconds=1)
    async with market(settings):
        async with syncing(settings):
            runs = await until_runs(watcher, 3, whole)
            before = Bodies(await watcher.all(STREAM))
        assert [run.trigger for run in runs[:2]] == ["start", "schedule"]
        assert runs[1].kinds["orders"].unchanged
        assert before.unchanged >= 2 * len(("orders", "trades"))
        number = len(runs)
        async with syncing(settings):
            again = (await until_runs(watcher, number + 1, whole))[-1]
    assert again.trigger == "start"
    assert not again.kinds["orders"].unchanged


async def test_the_shipped_table_of_charges_lies_in_the_log_once(settings: Settings, watcher: Watcher) -> None:
    async with market(settings):
        for runs in (1, 2):
            async with syncing(settings):
                await until_runs(watcher, runs)
    tariffs = [each for each in await watcher.all(STREAM) if each.type == "tariff.set.v1"]
    assert [unpack(each, TariffSet).sha256 for each in tariffs] == [shipped().sha256]


async def test_the_sandboxs_traders_are_accounts_each_with_a_book_of_its_own(
    settings: Settings, watcher: Watcher
) -> None:
    traders = [f"TR{number:04}" for number in range(1, 13)]  # all log in and keep what they did at once
    async with market(settings, traders=len(traders)), syncing(settings):
        runs = await until_runs(watcher, 1 + len(traders), whole)
        names = await known(watcher)
    assert {run.account for run in runs} == {OWN, *traders}
    assert {each.user for each in names.values()} == set(names) == {OWN, *traders}
    assert all(Vault(settings.bahi_data_dir).get(f"accounts/{name}/access_token") for name in traders)


async def test_what_a_user_asks_for_is_pulled_and_the_run_says_what_it_answers(
    settings: Settings, watcher: Watcher
) -> None:
    async with market(settings, traders=1), syncing(settings):
        await until_runs(watcher, 2)
        await watcher.say("requests", PullAccounts(accounts=[OWN], kinds=["trades", "margins"], key="a"))
        (run,) = await until_runs(watcher, 1, lambda run: run.trigger == "request")
        assert (run.account, set(run.kinds), run.asked) == (OWN, {"trades", "margins"}, [("requests", 1)])
        await watcher.say("requests", PullAccounts(accounts=[OWN], key="a"), PullAccounts(accounts=["nobody"], key="b"))
        await watcher.say("requests", PullAccounts(key="c"))
        runs = await until_runs(watcher, 3, lambda run: run.trigger == "request")
    assert {run.account: run.asked for run in runs[1:]} == {OWN: [("requests", 4)], "TR0001": [("requests", 4)]}
    assert all(whole(run) for run in runs[1:])


async def test_a_request_that_a_kill_left_unanswered_is_answered_by_the_next_start(
    settings: Settings, watcher: Watcher
) -> None:
    port = free_port()
    async with market(settings, port=port), syncing(settings):
        await until_runs(watcher, 1)
    await watcher.say("requests", PullAccounts(accounts=[OWN], key="a"))
    kept = settings.bahi_data_dir / "spool" / KEPT_FILE
    async with syncing(settings):  # its broker is away: the run cannot end so soon
        await until(lambda: bool(msgspec.json.decode(kept.read_bytes(), type=Kept).waiting))
    assert not [run for run in told(await watcher.all(STREAM), SyncRun) if run.asked]
    async with market(settings, port=port), syncing(settings):
        await until_runs(watcher, 1, lambda run: bool(run.asked))


async def test_what_users_decide_is_put_into_the_stream_in_order_and_once(settings: Settings, watcher: Watcher) -> None:
    async with market(settings):
        await watcher.say(
            "requests",
            StrategySet(strategy="one", key="a"),
            Subscribe(instruments=["NSE:INFY"]),
            RuleSet(rule="r", strategy="one", kind="tag", pattern="x", key="b"),
            StrategySet(strategy="one", key="a"),
            Event("rule.set.v1", 1, b"broken"),
            RuleRemoved(rule="r", key="c"),
        )
        async with syncing(settings):
            await until_runs(watcher, 1)
        async with syncing(settings):
            await until_runs(watcher, 2)
            heard = await watcher.all(STREAM)
    said = told(heard, Forwarded)
    assert [(each.stream, each.n, each.kind) for each in said] == [
        ("requests", 1, "strategy.set.v1"),
        ("requests", 3, "rule.set.v1"),
        ("requests", 6, "rule.removed.v1"),
    ]
    assert msgspec.json.decode(said[1].payload, type=RuleSet).pattern == "x"


async def test_many_updates_of_orders_are_one_pull_of_what_they_can_change(
    settings: Settings, watcher: Watcher
) -> None:
    update = OrderUpdated(broker="sandbox", user=OWN, order_id="1", by="ticker", body=b"{}")
    async with market(settings), syncing(settings):
        await until_runs(watcher, 1)
        await watcher.say("requests", *[update] * 20, OrderUpdated(**{**msgspec.structs.asdict(update), "user": "XX"}))
        (run,) = await until_runs(watcher, 1, lambda run: run.trigger == "update")
        await watcher.say("requests", PullAccounts(accounts=[OWN], kinds=["margins"], key="after"))
        await until_runs(watcher, 1, lambda run: run.trigger == "request")
        runs = await until_runs(watcher, 3)
    assert set(run.kinds) == {"orders", "trades", "positions"}
    assert [each.trigger for each in runs] == ["start", "update", "request"]


async def test_an_account_that_a_user_adds_is_pulled_until_he_takes_it_out(
    settings: Settings, watcher: Watcher
) -> None:
    added = AccountSet(account="mine", broker="sandbox", user="CD0001", key="a")
    out = msgspec.structs.replace(added, active=False, key="b")
    async with market(settings):
        async with syncing(settings):
            await until_runs(watcher, 1)
            await watcher.say("requests", added, AccountSet(account="no/name", broker="sandbox", key="c"))
            await until_runs(watcher, 1, lambda run: run.account == "mine" and whole(run))
        async with syncing(settings):
            await until_runs(watcher, 2, lambda run: run.account == "mine" and whole(run))
            await watcher.say("requests", out)
            await watcher.until(lambda heard: not all(each.active for each in told(heard, Known)), STREAM)
            names = await known(watcher)
    assert {name: each.active for name, each in names.items()} == {OWN: True, "mine": False}
