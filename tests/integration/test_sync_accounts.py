"""The poller of accounts: what the broker says lies in the log as it came, on the schedule."""

import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from events.accounts import KINDS, STREAM
from runtime.settings import Settings
from tests.exchange import call
from tests.pollers import OWN, Bodies, known, syncing, until_runs, whole
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
