"""The port on which the archive stands: segments by name, in a folder (`folder.py`) or a bucket (`bucket.py`).

A shelf knows names and bytes, and nothing of what is in them. What it gives was put there whole: a segment that is
half written, or half sent, is not on the shelf.
"""

import re
from typing import NamedTuple, Protocol

from events.segment import SUFFIX
from events.spool import NAME_DIGITS, NAME_PATTERN

FILE_NAME = re.compile(NAME_PATTERN + re.escape(SUFFIX))


class Name(NamedTuple):
    """A segment's name: its stream and its first n."""

    stream: str
    first: int

    @property
    def file(self) -> str:
        """Give the last part of its path. They sort as their n."""
        return f"{self.first:0{NAME_DIGITS}d}{SUFFIX}"

    def __str__(self) -> str:
        """Give its path from the archive's root."""
        return f"{self.stream}/{self.file}"


class Shelf(Protocol):
    """Where segments stand. Each verb raises Unreachable where the place does not answer, or refuses."""

    @property
    def place(self) -> str:
        """Give where it is, for people: a folder's path or s3://bucket/prefix."""
        ...

    async def streams(self) -> list[str]:
        """Give the streams of which a segment stands here, sorted."""
        ...

    async def firsts(self, stream: str, at_least: int) -> list[int]:
        """Give the first n of the segments of a stream that begin at `at_least` or behind it, sorted.

        All that were there when it was asked, also those of other processes.
        """
        ...

    async def read(self, name: Name, offset: int, length: int) -> bytes:
        """Give up to `length` bytes from `offset` on: fewer, or none, where the segment ends before.

        A negative offset counts from the end; one from before the beginning means the beginning.
        """
        ...

    async def create(self, name: Name, content: bytes) -> bool:
        """Put a segment under a name that is free, durable when this returns; say whether it was free.

        Of several that put under one name at the same moment one gets it. It is all there, or not there at all,
        whatever happens in between. Raises ArchiveUnsafe where the place cannot promise this.
        """
        ...

    async def sweep(self, stream: str) -> None:
        """Remove what this host left half written, where nobody else on it puts segments of this stream now."""
        ...


def first_of(file: str) -> int | None:
    """Give the first n that a segment's file name says; None where it is no such name."""
    return int(file.removesuffix(SUFFIX)) if FILE_NAME.fullmatch(file) else None
