"""A database restored from a backup: what came after it comes back from the log, and no old owner writes any more."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import msgspec
import psycopg
import pytest

from events.archive import Archive
from events.messages import Takeover
from events.reader import Reader
from events.redis_log import RedisLog
from ops import restored
from ops.doctor import projections
from ops.facts.gather import gather
from ops.restored import ToRebuild
from ops.verify import audit
from projectors.loop import Loop
from projectors.ticks import TICKS
from runtime.clock import SystemClock
from runtime.errors import LeaseLost, Unreachable
from runtime.lifecycle import Stop
from runtime.settings import Settings
from sql.rebuilds import Site
from sql.store import Lease, Store
from tests.frames import STREAM
from tests.loops import ask
from tests.owners import Torn, insist
from tests.ports import free_port
from tests.servers import with_database
from tests.small_log import SmallLog, market, small_log

pytestmark = pytest.mark.anyio

LONG_AGO_EPOCH = 1_700_000_000_000_000  # November 2023, in microseconds


class Backup:
    """A copy of a database, which can be put back under the old name."""

    def __init__(self, url: str) -> None:
        self._name = url.rpartition("/")[2]
        self._admin = psycopg.connect(with_database(url, "postgres"), autocommit=True)

    def take(self) -> None:
        self._copy(self._name, f"{self._name}_backup")

    def restore(self) -> None:
        self._copy(f"{self._name}_backup", self._name)

    def close(self) -> None:
        self._run(f"drop database if exists {self._name}_backup with (force)")
        self._admin.close()

    def _copy(self, source: str, target: str) -> None:
        self._run(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{source}'")
        self._run(f"drop database if exists {target} with (force)")
        self._run(f"create database {target} template {source}")

    def _run(self, statement: str) -> None:
        self._admin.execute(statement.encode())


@pytest.fixture
def ready(settings: Settings) -> Settings:
    """Give settings on a port that is free."""
    return msgspec.structs.replace(settings, api_port=free_port())


@pytest.fixture
def backup(database_url: str, plain_postgres: None) -> Iterator[Backup]:  # it copies databases
    with closing(Backup(database_url)) as made:
        yield made


@pytest.fixture
async def log(ready: Settings) -> AsyncIterator[SmallLog]:
    """Give a stream of thirty frames that is projected to its end."""
    async with small_log(ready) as log:
        await log.connect()
        await log.receive(*market(0, 30))
        await log.project()
        yield log


@pytest.fixture
async def owner(database_url: str, log: SmallLog) -> AsyncIterator[tuple[Store, Lease]]:
    """Give an owner that holds the ticks of the stream, and does nothing: it is frozen."""
    store = Store(database_url)
    lease = await store.acquire(TICKS.name, log.stream)
    assert lease is not None
    yield store, lease
    await store.close()


async def epochs(url: str) -> list[int]:
    return [row["epoch"] for row in await ask(url, "select epoch from projection_checkpoints")]


async def end_leases(url: str) -> None:
    await ask(url, "update projection_checkpoints set lease_until = '-infinity'")


async def commits(store: Store, lease: Lease) -> bool:
    """Say whether an owner could commit one event more; nothing is committed."""

    async def tear() -> None:
        async with store.begin(lease, lease.n + 1):
            raise Torn

    with pytest.raises((Torn, LeaseLost)) as found:
        await insist(tear)
    return found.type is Torn


async def wrong(settings: Settings) -> list[str]:
    return [finding.remedy for finding in projections.went_back(await gather(settings, SystemClock()))]


async def test_projectors_notice_say_so_and_catch_up(
    ready: Settings, log: SmallLog, backup: Backup, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    backup.take()
    await log.receive(*market(30, 30))
    await log.project()
    assert await wrong(ready) == []
    backup.restore()
    assert await wrong(ready) == ["bahi restored"] * 3
    await log.project()
    said = capsys.readouterr().out
    assert said.count("projector.database_went_back") == 3
    assert min(await epochs(database_url)) > LONG_AGO_EPOCH
    assert await wrong(ready) == []
    report = await audit.run(ready, full=True)
    assert report.ok, report.problems
    assert report.stored == 180
    (raised,) = projections.raised(await gather(ready, SystemClock()))
    assert "went back, or was restored" in raised.found


class Hasty(Store):
    """A store whose loop is asked to stop while it waits for the lease."""

    stop: Stop

    async def acquire(self, projector: str, stream: str) -> Lease | None:
        lease = await super().acquire(projector, stream)
        self.stop.set()
        return lease


async def test_the_sign_is_left_for_the_next_owner_where_there_was_no_time_to_look(
    ready: Settings, log: SmallLog, backup: Backup, database_url: str
) -> None:
    backup.take()
    await log.receive(*market(30, 30))
    await log.project()
    backup.restore()
    store, stop, near = Hasty(database_url), Stop(), RedisLog.connect(str(ready.redis_url))
    store.stop = stop
    reader = Reader(near, Archive.at(ready))
    await insist(Loop(TICKS, STREAM, store, reader, SystemClock(), near, stop).run)
    await near.close()
    assert await wrong(ready) == ["bahi restored"] * 3
    assert max(await epochs(database_url)) < LONG_AGO_EPOCH


async def test_an_empty_database_alarms_nobody_and_gets_epochs_of_its_own(
    ready: Settings, backup: Backup, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with small_log(ready) as log:
        backup.take()
        await log.receive(*market(0, 5))
        await log.project()
        assert max(await epochs(database_url)) < LONG_AGO_EPOCH
        backup.restore()
        await log.project()
    assert "projector.database_went_back" not in capsys.readouterr().out
    assert min(await epochs(database_url)) > LONG_AGO_EPOCH


async def test_an_owner_frozen_since_before_the_backup_can_write_until_the_command_is_run(
    ready: Settings, log: SmallLog, backup: Backup, owner: tuple[Store, Lease]
) -> None:
    backup.take()
    await log.receive(*market(30, 30))
    await end_leases(ready.database_url or "")
    await log.project()
    assert not await commits(*owner)
    backup.restore()
    assert await commits(*owner), "its epoch and its position are those of the backup"
    await restored.run(ready, Stop())
    assert not await commits(*owner)


async def test_an_owner_of_the_time_that_is_gone_writes_nothing_at_the_same_place(
    ready: Settings, log: SmallLog, backup: Backup, database_url: str
) -> None:
    backup.take()
    old, new = Store(database_url), Store(database_url)
    gone = await old.acquire(TICKS.name, log.stream)
    backup.restore()
    assert gone
    again = await new.acquire(TICKS.name, log.stream)
    assert again
    assert (again.epoch, again.n) == (gone.epoch, gone.n), "the database hands the epoch out a second time"
    assert await commits(old, gone)
    await restored.run(ready, Stop())
    assert not await commits(old, gone)
    assert not await commits(new, again)
    third = await new.acquire(TICKS.name, log.stream)
    assert third
    assert await commits(new, third)
    assert not await commits(old, gone)
    await old.close()
    await new.close()


async def test_rows_in_an_open_transaction_are_not_committed_after_the_command(
    ready: Settings, log: SmallLog, owner: tuple[Store, Lease], database_url: str
) -> None:
    store, lease = owner

    async def write() -> None:
        async with store.begin(lease, lease.n + 1) as rows:
            parked = {"projector": TICKS.name, "stream": log.stream, "n": lease.n + 1, "part": 0, "packets": 0}
            await rows.run("park_event", {**parked, "at": "2026-04-12T00:00Z", "error": "test", "payload": b""})
            await restored.run(ready, Stop())

    with pytest.raises(Unreachable):
        await write()
    assert not await ask(database_url, "select from parked_events")
    assert not await commits(store, lease)


async def test_the_command_tells_what_is_behind_and_that_the_log_has_it(
    ready: Settings, log: SmallLog, backup: Backup
) -> None:
    before = log.writer.last
    backup.take()
    await log.receive(*market(30, 30))
    await log.project()
    await log.archive_closed()
    await log.trim(log.writer.last)
    backup.restore()
    report = await restored.run(ready, Stop())
    assert {(each.projector, each.n, each.last, each.stood) for each in report.positions} == {
        (name, before, log.writer.last, log.writer.last) for name in ("ticks", "candles", "gaps")
    }
    assert report.ok
    assert not report.rebuild
    assert await wrong(ready) == []
    assert "ticks of ticks-sandbox-1: 31 events behind" in restored.shown(report)
    await log.project()
    assert (await audit.run(ready, full=True)).ok


async def test_a_takeover_in_between_tells_what_is_to_be_rebuilt(
    ready: Settings, log: SmallLog, backup: Backup
) -> None:
    backup.take()
    told = Takeover(host="h", tombstones=[(3, 4)], checkpoints={"ticks": 8, "gaps": 2}, lost=2)
    n = await log.tell(told)
    backup.restore()
    report = await restored.run(ready, Stop())
    assert report.rebuild == [ToRebuild("ticks", STREAM, n, 2)]
    assert "do bahi rebuild ticks" in restored.shown(report)


async def test_a_backup_that_is_newer_than_the_log_is_wrong(ready: Settings, log: SmallLog) -> None:
    assert ready.database_url
    await ask(ready.database_url, "update projection_checkpoints set n = n + 10 where projector = 'candles'")
    report = await restored.run(ready, Stop())
    assert not report.ok
    (problem,) = report.problems
    assert f"candles of {log.stream} stands at {log.writer.last + 10}" in problem


async def test_what_neither_redis_nor_the_archive_has_is_wrong(ready: Settings, log: SmallLog, backup: Backup) -> None:
    backup.take()
    before = log.writer.last
    await log.receive(*market(30, 30))
    backup.restore()
    await log.trim(before + 5)
    report = await restored.run(ready, Stop())
    assert not report.ok
    assert f"n = {before + 1}" in restored.shown(report)


async def test_a_stream_has_the_number_of_the_database_that_is_there(database_url: str, backup: Backup) -> None:
    backup.take()
    store = Store(database_url)
    lease = await store.acquire(TICKS.name, STREAM)
    assert lease
    async with store.begin(lease, 1) as rows:
        assert rows.stream_id == 1
    backup.restore()
    await ask(database_url, "insert into streams (stream) values ('another')")
    with pytest.raises(Unreachable):  # the session is gone
        await store.acquire(TICKS.name, STREAM)
    lease = await store.acquire(TICKS.name, STREAM)
    assert lease
    async with store.begin(lease, 1) as rows:
        assert await rows.run("stream_number", {"stream": STREAM}) == [{"stream_id": rows.stream_id}]
    await store.close()


async def test_a_rebuild_that_was_under_way_begins_again(ready: Settings, log: SmallLog, database_url: str) -> None:
    site = Site(database_url, TICKS.name, TICKS.tables, TICKS.version)
    await site.enter()
    await site.make()
    assert await site.own_lease(log.stream, 1)
    assert await site.can_go_on()
    await site.close()
    await restored.run(ready, Stop())
    await site.enter()
    assert not await site.can_go_on()
    await site.close()
