"""The log's near end, as a port: what a writer and a reader may ask of Redis, and nothing else.

The real one is `events.redis_log`, the one in memory `events.memory_log`; one contract suite holds both to this page.
Entries are bytes as `events.codec` makes them; their n is dense within a call.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

READ_ENTRIES_MAX = 512  # one read: about 1 MB of ten-packet frames


class Appended(msgspec.Struct, frozen=True):
    """An answer to append. last: the stream's last n now. gap: nothing more was taken; send again from last + 1."""

    last: int
    gap: bool = False


class Log(Protocol):
    """A stream store that compares before it appends."""

    async def append(
        self, stream: str, entries: Sequence[bytes], archived: int, previous: bytes | None = None
    ) -> Appended:
        """Append entries, in order, comparing those that are there already.

        Accepted: n = last + 1, where `previous` (the entry before the first, as the caller has it) is what stands
        there; a repeat with the same bytes; a jump to n where n - 1 <= archived. Because of `previous` no server that
        was put in the other's place unnoticed is written to, whoever reconnects. Raises LogRefused where the log holds
        other bytes under an n, or none any more; Unreachable where no answer came: then nothing is known, and `last`
        must be asked.
        """
        ...

    async def read(self, stream: str, after: int, limit: int = READ_ENTRIES_MAX, block_ms: int = 0) -> list[bytes]:
        """Give up to `limit` entries with n > after, in order; wait up to block_ms for the first.

        The caller may not assume that the first is after + 1. Raises Unreachable.
        """
        ...

    async def last(self, stream: str) -> tuple[int, bytes | None]:
        """Give the last n with its entry, or (0, None) where the stream is not known. Raises Unreachable."""
        ...

    async def trim(self, stream: str, upto: int) -> int:
        """Drop entries with n <= upto but never the last one; give how many. Raises Unreachable."""
        ...

    async def streams(self) -> list[str]:
        """Give the names of all streams that it holds. Raises Unreachable."""
        ...
