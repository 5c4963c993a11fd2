"""The real REST worker beside a real sandbox exchange: what it asked, and what stands in the stream `accounts`."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import zstandard

from events.accounts import KINDS, STREAM, Kind, Known, Snapshot, SnapshotPart, SyncRun
from events.event import Recorded
from events.messages import Message, unpack
from producers import sync
from runtime.lifecycle import Stop
from runtime.settings import Settings
from tests.patience import PATIENCE_SECONDS
from tests.tickers import Watcher, nobody

OWN = "SB0001"  # the sandbox's usual user
MessageT = TypeVar("MessageT", bound=Message)


@contextlib.asynccontextmanager
async def syncing(settings: Settings) -> AsyncIterator[Stop]:
    """Run `bahi sync` in this process; at the end it is stopped as SIGTERM does it."""
    stop = Stop()
    task = asyncio.ensure_future(sync.run(settings, stop, nobody))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await task


def told(heard: Sequence[Recorded], wanted: type[MessageT]) -> list[MessageT]:
    """Give all messages of one class."""
    tag = wanted.__struct_config__.tag
    return [unpack(event, wanted) for event in heard if event.type == tag]


async def until_runs(
    watcher: Watcher, number: int, which: Callable[[SyncRun], bool] = lambda run: True
) -> list[SyncRun]:
    """Wait for so many runs; give them."""

    def found(heard: list[Recorded]) -> list[SyncRun]:
        return [run for run in told(heard, SyncRun) if which(run)]

    return found(await watcher.until(lambda heard: len(found(heard)) >= number, STREAM))


async def known(watcher: Watcher) -> dict[str, Known]:
    """Give what the log knows of the accounts, the newest word of each."""
    return {each.account: each for each in told(await watcher.all(STREAM), Known)}


class Bodies:
    """The bodies in the stream, as they came; checked against their hashes."""

    def __init__(self, heard: Sequence[Recorded]) -> None:
        """Read the snapshots in the order of n."""
        self.last: dict[tuple[str, Kind], bytes] = {}
        self.unchanged = 0
        parts: list[bytes] = []
        for event in heard:
            if event.type == "account.part.v1":
                part = unpack(event, SnapshotPart)
                parts.append(part.body)
                assert part.part == len(parts)
            elif event.type == "account.snapshot.v1":
                self._take(unpack(event, Snapshot), parts)
                parts = []

    def _take(self, snapshot: Snapshot, parts: list[bytes]) -> None:
        place = snapshot.account, snapshot.kind
        assert snapshot.parts == len(parts)
        if snapshot.body is None:
            self.unchanged += 1
        else:
            self.last[place] = zstandard.decompress(snapshot.body or b"".join(parts))
        assert hashlib.sha256(self.last[place]).hexdigest() == snapshot.sha256
        assert snapshot.asked_ns <= snapshot.answered_ns


def whole(run: SyncRun) -> bool:
    """Say whether a run brought all kinds."""
    return run.outcome == "ok" and set(run.kinds) == set(KINDS)
