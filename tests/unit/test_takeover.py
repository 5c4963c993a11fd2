"""Whatever is left of a stream, a takeover keeps all of it, in its place, and names what is not."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from events import codec, disk
from events.archive import Archive
from events.codec import decode
from events.memory_log import MemoryLog
from events.messages import Takeover, unpack
from events.spool import Spool, file_name, header, record, spool_files
from events.takeover import Done, take_over
from runtime.clock import ManualClock
from tests.entries import START_NS, STREAM, entry, numbers

NUMBERS = st.integers(0, 9)


class Left:
    """What is left of a stream: in the archive 1..archived, in Redis a range, on this disk what is not rotten.

    From `refused` on this disk holds other content than the rest: a second writer was quicker.
    """

    def __init__(self, data: st.DataObject) -> None:
        self.archived = data.draw(NUMBERS, "archived")
        first = data.draw(st.integers(1, 10), "first in Redis")
        self.in_redis = list(range(first, data.draw(st.integers(first - 1, 12), "last in Redis") + 1))
        begins = data.draw(st.integers(1, 10), "first on disk")
        self.on_disk = list(range(begins, data.draw(st.integers(begins - 1, 14), "last on disk") + 1))
        self.rotten = data.draw(st.frozensets(st.sampled_from(self.on_disk)) if self.on_disk else st.just(frozenset()))
        self.refused = data.draw(st.integers(1, 30), "refused from")
        self.checkpoints = data.draw(st.dictionaries(st.sampled_from(["ticks", "gaps"]), NUMBERS), "checkpoints")

    def own(self, n: int) -> bytes:
        return entry(n, f"mine {n}") if n >= self.refused else entry(n)

    def file(self) -> bytes:
        pieces = [record(self.own(n), opens_commit=True) for n in self.on_disk]
        spoiled = [
            piece[:-1] + bytes([piece[-1] ^ 1]) if n in self.rotten else piece
            for n, piece in zip(self.on_disk, pieces, strict=True)
        ]
        return header(STREAM, self.on_disk[0]) + b"".join(spoiled)

    @property
    def elsewhere(self) -> set[int]:
        return {*range(1, self.archived + 1), *self.in_redis}

    @property
    def legible(self) -> list[int]:
        return [n for n in self.on_disk if n not in self.rotten]

    @property
    def differs_from(self) -> int:
        """The first n of this disk under which somebody else holds other content; a large one where none is."""
        return min((n for n in self.legible if n >= self.refused and n in self.elsewhere), default=99)


async def taken_over(left: Left, folder: Path) -> tuple[Done, dict[int, bytes]]:
    """Give what the takeover says, and the stream that it makes: archive and new file together."""
    near, far = MemoryLog(), Archive(folder / "archive")
    if left.archived:
        await far.put(STREAM, [entry(n) for n in range(1, left.archived + 1)])
    if left.in_redis:
        await near.append(STREAM, [entry(n) for n in left.in_redis], archived=left.in_redis[0] - 1)
    disk.make_folder(folder / STREAM)
    if left.on_disk:
        disk.create(folder / STREAM / file_name(left.on_disk[0]), left.file())
    spool = Spool(folder / STREAM, STREAM)

    async def fence(_stream: str) -> Mapping[str, int]:
        return left.checkpoints

    done = await take_over(spool, near, far, fence, ManualClock(START_NS), "a test")
    spool.close()
    (file,) = spool_files(folder / STREAM)
    entries = [entry(n) for n in range(1, left.archived + 1)] + file.entries(STREAM)
    assert numbers(entries) == list(range(1, len(entries) + 1)), "dense, and behind the archive"
    return done, {codec.entry_n(each): each for each in entries}


@settings(max_examples=150)
@given(data=st.data())
def test_all_that_is_left_is_kept_and_the_rest_is_named(data: st.DataObject) -> None:
    left = Left(data)
    with tempfile.TemporaryDirectory() as folder:
        done, stream = asyncio.run(taken_over(left, Path(folder)))
    told = unpack(decode(STREAM, stream[done.n]), Takeover)
    kept = [n for n in left.legible if n < left.differs_from]
    highest = done.n - 1
    assert highest >= max([0, *left.elsewhere, *kept, *left.checkpoints.values()])
    lost = {n for first, last in told.tombstones for n in range(first, last + 1)}
    for n in range(1, done.n):
        if n in left.elsewhere:
            assert stream[n] == entry(n)
        elif n in kept:
            assert stream[n] == left.own(n)
        else:
            assert decode(STREAM, stream[n]).type == "log.tombstone.v1"
            assert n in lost
    assert len(lost) == told.lost == done.lost == highest - len({*left.elsewhere, *kept} & set(range(1, done.n)))
    again = [n for n in left.legible if n >= left.differs_from and not (n in left.elsewhere and n < left.refused)]
    said = [decode(STREAM, stream[n]).payload.decode() for n in range(done.n + 1, len(stream) + 1)]
    assert said == [decode(STREAM, left.own(n)).payload.decode() for n in again]
    assert done.again == len(again)
    assert dict(told.checkpoints) == left.checkpoints
