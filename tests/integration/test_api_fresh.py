"""`fresh=true`: the broker is asked now, and the answer says honestly whether that came to anything."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from api.accounts.pulls import Ended
from events.accounts import Known, PullAccounts, Pulled
from events.event import Recorded
from events.messages import unpack
from projectors.accounts.projector import ACCOUNTS
from runtime.calendar import IST
from runtime.clock import SystemClock
from runtime.settings import Settings
from tests.account_log import AccountLog, a_day, trade
from tests.api_server import Api, serving
from tests.loops import Desk
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

Row = dict[str, Any]
PATIENT: dict[str, str | int] = {"fresh": "true", "wait": 60}
HASTY: dict[str, str | int] = {"fresh": "true", "wait": "0.01"}


class Worker:
    """What the REST worker and the projector do, at a test's word."""

    def __init__(self, settings: Settings, folder: Path, log: AccountLog) -> None:
        assert settings.database_url is not None
        self.desk, self.log, self._done = Desk(settings.database_url, folder), log, 0

    async def project(self) -> None:
        """Put what the log has gained into the tables."""
        await self.desk.project(ACCOUNTS, self.log.events[self._done :])
        self._done = len(self.log.events)

    async def answer(self, api: Api, write: Callable[[int], int]) -> Recorded:
        """Wait for a request; have its answer, by its n, written and projected."""
        reader = api.parts.make_reader()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := await reader.read("requests", 0, 512, 1000)) or found[-1].type != "request.pull.v1":
                pass
        write(found[-1].n)
        await self.project()
        return found[-1]


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Worker:
    return Worker(settings, tmp_path, a_day())


async def asked(api: Api, query: dict[str, str | int], kind: str = "trades") -> Row:
    return await api.get(f"/accounts/main/{kind}", query)


async def test_a_pull_is_asked_for_and_its_rows_are_given(settings: Settings, worker: Worker) -> None:
    await worker.project()

    def write(n: int) -> int:
        worker.log.snapshot("main", "trades", [trade("1"), trade("77")], "10:00:00")
        return worker.log.run("main", "10:00:01", kinds={"trades": Pulled(ok=True, rows=2)}, asked=[("requests", n)])

    async with serving(settings) as api:
        answering = asyncio.create_task(worker.answer(api, write))
        said = await asked(api, PATIENT)
        assert (said["fresh"], said["stale_because"]) == (True, None)
        assert "77" in [each["trade_id"] for each in said["trades"]]
        assert said["asked_at"] == "2026-04-13T10:00:00+05:30"
        request = unpack(await answering, PullAccounts)
        assert (request.accounts, request.kinds) == (["main"], ["trades"])
        assert (await asked(api, {}))["fresh"] is None  # nobody asked


async def test_a_failed_pull_is_said_and_what_is_known_is_given(settings: Settings, worker: Worker) -> None:
    await worker.project()
    failed = Pulled(ok=False, error_type="network", error="wanted Kite; found no answer")

    def write(n: int) -> int:
        kinds = {"trades": failed, "orders": Pulled(ok=True)}
        return worker.log.run("main", outcome="partial", kinds=kinds, asked=[("requests", n - 1), ("requests", n)])

    async with serving(settings) as api:
        answering = asyncio.create_task(worker.answer(api, write))
        said = await asked(api, PATIENT)
        await answering
        assert said["fresh"] is False
        assert "partial: wanted Kite; found no answer" in said["stale_because"]
        assert said["asked_at"] == "2026-04-13T09:21:00+05:30"
        assert said["trades"] == (await asked(api, {}))["trades"] != []


async def test_a_refused_token_is_said(settings: Settings, worker: Worker) -> None:
    await worker.project()
    async with serving(settings) as api:
        refusal = "wanted a token; found the token refused"
        answering = asyncio.create_task(
            worker.answer(
                api, lambda n: worker.log.run("main", outcome="refused", error=refusal, asked=[("requests", n)])
            )
        )
        said = await asked(api, PATIENT, "margins")
        await answering
        assert said["fresh"] is False
        assert f"refused: {refusal}" in said["stale_because"]
        assert "bahi login kite main" in said["stale_because"]
        assert len(said["margins"]) == 1


async def test_a_run_that_began_later_will_do(settings: Settings, worker: Worker) -> None:
    await worker.project()

    def write(_: int) -> int:
        began_ns = SystemClock().now_ns()
        return worker.log.run("main", kinds={"trades": Pulled(ok=True)}, started_ns=began_ns, finished_ns=began_ns)

    async with serving(settings) as api:
        answering = asyncio.create_task(worker.answer(api, write))
        assert (await asked(api, PATIENT))["fresh"] is True
        await answering


async def test_an_older_run_or_one_of_another_kind_will_not_do(settings: Settings, worker: Worker) -> None:
    at = datetime(2026, 4, 13, 9, 30, tzinfo=IST)
    worker.log.run("main", "09:30:00", kinds={"trades": Pulled(ok=True)})  # began a second before
    worker.log.run("main", "09:30:05", kinds={"orders": Pulled(ok=True)})
    worker.log.run("main", "09:30:06", kinds={"orders": Pulled(ok=True)}, asked=[("requests", 5)])
    worker.log.run("main", "09:30:07", kinds={"trades": Pulled(ok=True)})
    await worker.project()
    async with serving(settings) as api:

        async def ended(after_n: int, request: int) -> list[tuple[bool, bool]]:
            place = {"account": "main", "kind": "trades", "after_n": after_n, "since": at}
            found = await api.parts.tables.rows(
                "answering_runs", {**place, "asked": f'[["requests", {request}]]'}, Ended
            )
            return [(each.own, each.ok) for each in found]

        assert await ended(0, 6) == [(False, True)]
        assert await ended(0, 5) == [(True, False), (False, True)]
        assert await ended(len(worker.log.events), 5) == []


async def test_nothing_that_ends_in_time_is_said(settings: Settings, worker: Worker) -> None:
    await worker.project()
    async with serving(settings) as api:
        said = await asked(api, HASTY)
        assert said["fresh"] is False
        assert "within 0.01 s" in said["stale_because"]
        assert said["trades"] == (await asked(api, {}))["trades"] != []


async def test_what_cannot_be_pulled_is_said_at_once(settings: Settings, worker: Worker) -> None:
    worker.log.add(Known(account="main", broker="kite", active=False))
    await worker.project()
    async with serving(settings) as api:
        said = await asked(api, PATIENT)
        assert (said["fresh"], said["stale_because"]) == (False, "the account is not pulled any more")
        await api.get("/accounts/nobody/trades", PATIENT, status=404)
        await api.get("/accounts/main/trades", {"fresh": "true", "wait": 61}, status=400)


async def test_a_stop_ends_the_wait_with_an_answer(settings: Settings, worker: Worker) -> None:
    await worker.project()
    async with serving(settings) as api:
        asking = asyncio.create_task(asked(api, PATIENT))
        reader = api.parts.make_reader()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await reader.read("requests", 1, 512, 1000):
                pass
        api.stop.set()
        said = await asking
        assert (said["fresh"], said["stale_because"]) == (False, "the API is stopping")
