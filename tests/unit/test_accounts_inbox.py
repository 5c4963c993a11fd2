"""What was asked of the poller counts as taken only when all that came of it is in the log."""

from pathlib import Path

from events import codec
from events.accounts import StrategySet
from events.archive import Archive
from events.event import EVENT_BYTES_MAX
from events.memory_log import MemoryLog
from events.messages import pack
from events.reader import Reader
from producers.accounts.inbox import Inbox
from producers.accounts.kept import Kept


async def test_what_was_read_and_is_not_in_the_log_yet_is_read_again(tmp_path: Path) -> None:
    log, kept = MemoryLog(), Kept()
    one, two = StrategySet(strategy="one", key="a"), StrategySet(strategy="two", key="b")
    entries = [codec.encode(n, pack(each, n)) for n, each in enumerate((one, two, one), 1)]
    await log.append("requests", entries, archived=0)
    reader = Reader(log, Archive(tmp_path))
    inbox = Inbox(reader, kept)
    assert [request.n for request, _ in await inbox.read()] == [1, 2]
    assert (kept.positions, kept.keys) == ({}, []), "a kill here must not lose them"
    assert [request.n for request, _ in await Inbox(reader, kept).read()] == [1, 2]
    assert inbox.done()
    assert (kept.positions, kept.keys) == ({"requests": 3}, ["a", "b"])
    assert not inbox.done()
    assert await Inbox(reader, kept).read() == []


async def test_a_decision_too_large_to_be_put_into_another_event_is_refused(tmp_path: Path) -> None:
    log, kept = MemoryLog(), Kept()
    large = StrategySet(strategy="one", description="x" * (EVENT_BYTES_MAX - 200))
    await log.append("requests", [codec.encode(1, pack(large, 1))], archived=0)
    inbox = Inbox(Reader(log, Archive(tmp_path)), kept)
    assert await inbox.read() == []
    assert inbox.done()
