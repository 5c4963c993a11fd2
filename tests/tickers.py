"""The real ticker beside a real sandbox exchange: what was sent, what was stored, what was declared lost."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from events import codec
from events.archive import Archive
from events.event import Event, Recorded
from events.messages import Connected, Gap, Lost, Message, pack, unpack
from events.reader import Reader
from events.redis_log import RedisLog
from ops.sandbox import journal
from ops.sandbox.journal import Sent
from ops.sandbox.server import Exchange, Options
from producers import ticks
from producers.kite.connection import DEFAULT_BOUNDS, Bounds
from runtime.clock import Clock
from runtime.lifecycle import Stop
from runtime.settings import Settings
from runtime.vault import Vault
from tests.exchange import log_in
from tests.patience import PATIENCE_SECONDS

STREAM = "ticks-sandbox-1"
TOKEN_NAME = "sandbox/access_token"
FOR_EVER_NS = 1 << 62


@contextlib.asynccontextmanager
async def market(settings: Settings, **options: Any) -> AsyncIterator[Exchange]:
    """Run a sandbox in the settings' data directory, where the ticker looks for its port."""
    chosen = {"limits": False, "port": 0, "instruments": 20, **options}
    async with Exchange(Options(folder=settings.bahi_data_dir / "sandbox", **chosen)) as running:
        driving = asyncio.ensure_future(running.drive())
        try:
            yield running
        finally:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)


async def bring_token(settings: Settings, running: Exchange) -> str:
    """Log in and put the token where every process finds it."""
    token = await log_in(running)
    Vault(settings.bahi_data_dir).put(TOKEN_NAME, token)
    return token


async def nobody(_: str) -> dict[str, int]:
    """Stand for the checkpoints of a stream that is new."""
    return {}


class Running:
    """A ticker at work in this process."""

    def __init__(self, settings: Settings, bounds: Bounds = DEFAULT_BOUNDS, clock: Clock | None = None) -> None:
        self.stop = Stop()
        self.task = asyncio.ensure_future(ticks.run(settings, self.stop, nobody, bounds, clock))

    async def ended(self) -> None:
        """Stop it as SIGTERM does."""
        self.stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self.task.done() or kind is None:
            await self.ended()


class Watcher:
    """Reads the log from its beginning."""

    def __init__(self, settings: Settings) -> None:
        assert settings.redis_url is not None
        self.log = RedisLog.connect(settings.redis_url)
        self._reader = Reader(self.log, Archive.at(settings))
        self._heard: dict[str, list[Recorded]] = {}

    async def until(self, wanted: Callable[[list[Recorded]], bool], stream: str = STREAM) -> list[Recorded]:
        """Read on until what was read in all is as wanted; give it."""
        heard = self._heard.setdefault(stream, [])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not wanted(heard):
                heard += await self._reader.read(stream, len(heard), block_ms=200)
        return heard

    async def all(self, stream: str = STREAM) -> list[Recorded]:
        """Give all that is in the log now."""
        last = await self._reader.last(stream)
        return await self.until(lambda heard: len(heard) >= last, stream)

    async def say(self, stream: str, *said: Message | Event) -> None:
        """Append events to a stream that this test owns."""
        last, before = await self.log.last(stream)
        events = [pack(each, 1) if isinstance(each, Message) else each for each in said]
        entries = [codec.encode(n, each) for n, each in enumerate(events, last + 1)]
        await self.log.append(stream, entries, archived=0, previous=before)

    async def close(self) -> None:
        """Close the connections."""
        await self.log.close()


def count(kind: str, heard: Sequence[Recorded]) -> int:
    """Count events of a type: `frame` for kite.frame.v1, `gap` for feed.gap.v1."""
    return sum(event.type in (f"kite.{kind}.v1", f"feed.{kind}.v1") for event in heard)


def last_of(kind: str, heard: Sequence[Recorded]) -> Recorded:
    """Give the last event of a type."""
    return [event for event in heard if event.type in (f"kite.{kind}.v1", f"feed.{kind}.v1")][-1]


def seen(**counts: int) -> Callable[[list[Recorded]], bool]:
    """Wait for so many events of each type."""
    return lambda heard: all(count(kind, heard) >= wanted for kind, wanted in counts.items())


class Account(NamedTuple):
    """What became of the messages that were sent: how many are stored, and which were lost."""

    stored: int
    lost: list[Sent]


def account(settings: Settings, *logs: Sequence[Recorded]) -> Account:
    """Compare journal and logs: of each socket a first part is stored, as it was sent; the rest lies in a gap.

    A frozen or killed socket loses its last messages and no others: TCP keeps their order.
    """
    by_port = _sent(settings.bahi_data_dir)
    stored, lost = 0, list[Sent]()
    for heard in logs:
        gaps = _gaps(heard)
        for port, frames in _received(heard).items():
            sent = by_port.pop(port, [])
            told = [(len(frame.payload), zlib.crc32(frame.payload)) for frame in frames]
            assert told == [(each.length, each.crc) for each in sent[: len(told)]], "stored as it was sent"
            stored += len(told)
            rest = sent[len(told) :]
            since = sent[len(told) - 1].sent_ns if told else 0
            assert all(_declared(each, since, gaps) for each in rest), "what is not stored lies in a gap"
            lost += rest
    assert not any(by_port.values()), "every socket is told of in the log"
    return Account(stored, lost)


def _gaps(heard: Sequence[Recorded]) -> list[Gap]:
    """Give the declared gaps; a loss at the end is one that lasts: the ticker's own end, until the next one's start."""
    told = [event for event in heard if event.type in ("feed.lost.v1", "feed.gap.v1")]
    gaps = [unpack(event, Gap) for event in told if event.type == "feed.gap.v1"]
    if told and told[-1].type == "feed.lost.v1":
        gaps.append(Gap(from_ns=unpack(told[-1], Lost).from_ns, to_ns=FOR_EVER_NS, reason="it lasts"))
    return gaps


def _sent(data_dir: Path) -> dict[int, list[Sent]]:
    found: dict[int, list[Sent]] = {}
    for each in journal.read(data_dir / "sandbox" / "journal"):
        found.setdefault(each.port, []).append(each)
    return found


def _received(heard: Sequence[Recorded]) -> dict[int, list[Recorded]]:
    found: dict[int, list[Recorded]] = {}
    port = 0
    for event in heard:
        if event.type == "feed.connected.v1":
            port = unpack(event, Connected).local_port
            found.setdefault(port, [])
        elif event.type == "kite.frame.v1":
            found[port].append(event)
    return found


def _declared(each: Sent, since_ns: int, gaps: Sequence[Gap]) -> bool:
    # A message may have been on its way while the last one that was stored was received.
    return any(since_ns <= each.sent_ns <= gap.to_ns and gap.from_ns <= gap.to_ns for gap in gaps)
