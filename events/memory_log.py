"""The log in memory: the same rules as `events.redis_log`, for the simulator and for trying things."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence

from events import codec
from events.log import READ_ENTRIES_MAX, Appended
from runtime.errors import LogRefused


class MemoryLog:
    """`events.log.Log` in this process; lost with it."""

    def __init__(self) -> None:
        """Begin with no stream."""
        self._entries: dict[str, dict[int, bytes]] = {}  # by n, in growing order
        self._grown = asyncio.Condition()

    async def append(
        self, stream: str, entries: Sequence[bytes], archived: int, previous: bytes | None = None
    ) -> Appended:
        """Append entries, in order, comparing those that are there already (see `events.log`)."""
        held = self._entries.setdefault(stream, {})
        last = _last(held)
        if previous is not None and codec.entry_n(entries[0]) == last + 1 and held.get(last, previous) != previous:
            raise _refused(stream, last)
        for entry in entries:
            n = codec.entry_n(entry)
            if n <= last:
                if held.get(n) != entry:
                    raise _refused(stream, n)
            elif n == last + 1 or n - 1 <= archived:
                held[n] = entry
                last = n
            else:
                return Appended(last, gap=True)
        async with self._grown:
            self._grown.notify_all()
        return Appended(last)

    async def read(self, stream: str, after: int, limit: int = READ_ENTRIES_MAX, block_ms: int = 0) -> list[bytes]:
        """Give up to `limit` entries with n > after (see `events.log`)."""
        if block_ms and not self._after(stream, after, 1):
            try:
                async with asyncio.timeout(block_ms / 1000), self._grown:
                    await self._grown.wait_for(lambda: bool(self._after(stream, after, 1)))
            except TimeoutError:
                return []
        return self._after(stream, after, limit)

    def _after(self, stream: str, after: int, limit: int) -> list[bytes]:
        held = self._entries.get(stream, {})
        numbers = list(held)
        start = bisect_right(numbers, after)
        return [held[n] for n in numbers[start : start + limit]]

    async def last(self, stream: str) -> tuple[int, bytes | None]:
        """Give the last n with its entry, or (0, None)."""
        held = self._entries.get(stream, {})
        n = _last(held)
        return n, held.get(n)

    async def trim(self, stream: str, upto: int) -> int:
        """Drop entries with n <= upto but never the last one; give how many."""
        held = self._entries.get(stream, {})
        last = _last(held)
        gone = [n for n in held if n <= upto and n != last]
        for n in gone:
            del held[n]
        return len(gone)

    def forget(self, stream: str, after: int = 0) -> None:
        """Lose the entries with n > after, as a server whose disk forgot them."""
        held = self._entries.get(stream, {})
        for n in [n for n in held if n > after]:
            del held[n]

    async def streams(self) -> list[str]:
        """Give the names of all streams that hold an entry."""
        return sorted(stream for stream, held in self._entries.items() if held)


def _last(held: dict[int, bytes]) -> int:
    return next(reversed(held), 0)


def _refused(stream: str, n: int) -> LogRefused:
    return LogRefused(f"entry {n} of {stream} as this writer has it", "another content, or none", "stop one writer")
