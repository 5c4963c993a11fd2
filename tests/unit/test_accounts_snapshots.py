"""Snapshots as events: whole once a day and after a start, without a body while nothing changes, parts where large."""

import random

import msgspec
import zstandard

from events import codec
from events.accounts import BODY_BYTES_MAX, Snapshot, SnapshotPart
from events.messages import pack
from producers.accounts.snapshots import Snapshots
from producers.kite.calls import Answer
from runtime.calendar import IST_NS

DAY_NS = 86_400 * 10**9
NOON_NS = 1_790_000_000 * 10**9 // DAY_NS * DAY_NS + 12 * 3600 * 10**9 - IST_NS


def answer(body: bytes, at_ns: int = NOON_NS) -> Answer:
    return Answer(body, msgspec.Raw(b"[]"), at_ns - 50_000_000, at_ns)


def made(snapshots: Snapshots, each: Answer, account: str = "a") -> list[Snapshot | SnapshotPart]:
    """Write an answer as the worker does."""
    found = snapshots.events(account, "sandbox", "run", "orders", each)
    for event in found:
        codec.check(pack(event, each.answered_ns))
    snapshots.keep(account, "orders", each)
    assert all(isinstance(event, Snapshot | SnapshotPart) for event in found)
    return [event for event in found if isinstance(event, Snapshot | SnapshotPart)]


def body_of(found: list[Snapshot | SnapshotPart]) -> bytes | None:
    end = found[-1]
    return zstandard.decompress(end.body) if end.body else end.body


def test_the_same_body_is_written_once_a_day_and_after_a_start() -> None:
    snapshots, first, other = Snapshots(), answer(b"[1]"), answer(b"[2]")
    assert body_of(made(snapshots, first)) == b"[1]"
    assert body_of(made(snapshots, first)) is None
    assert body_of(made(snapshots, first, "b")) == b"[1]", "another account's"
    assert body_of(made(snapshots, other)) == b"[2]"
    assert body_of(made(snapshots, first)) == b"[1]", "another one stood between"
    night = answer(b"[1]", NOON_NS + 12 * 3600 * 10**9)
    assert body_of(made(snapshots, night)) == b"[1]", "a new day in India"
    assert body_of(made(Snapshots(), night)) == b"[1]", "a new start"


def test_what_is_not_in_the_log_yet_is_not_left_out() -> None:
    snapshots, each = Snapshots(), answer(b"[1]")
    assert snapshots.events("a", "sandbox", "run", "orders", each)
    (again,) = snapshots.events("a", "sandbox", "run", "orders", each)
    assert isinstance(again, Snapshot)
    assert again.body is not None


def test_a_large_body_stands_in_parts_before_its_end() -> None:
    body = random.Random(1).randbytes(2 * BODY_BYTES_MAX + 1000)
    *parts, end = made(Snapshots(), answer(body))
    assert isinstance(end, Snapshot)
    assert (len(parts), end.parts, end.body) == (3, 3, b"")
    assert [each.part for each in parts if isinstance(each, SnapshotPart)] == [1, 2, 3]
    assert zstandard.decompress(b"".join(each.body or b"" for each in parts)) == body
    assert {each.sha256 for each in (*parts, end)} == {end.sha256}
