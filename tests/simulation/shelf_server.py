"""A simulated bucket for the archive: segments that are all there or not at all, on a server that may be away."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from events import segment
from events.shelf import Name
from runtime.errors import BahiError
from tests.simulation.ledger import Ledger
from tests.simulation.world import Service, World

T = TypeVar("T")


class ShelfServer(Service):
    """The server, and the segments on it."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__("archive")
        self.segments: dict[Name, bytes] = {}
        self.damaged: tuple[Name, bytes] | None = None  # a segment, and what it should be
        self._ledger = ledger

    def mend(self) -> None:
        """Bring a damaged segment back from another copy. Raises Violation where nobody could have told that it was."""
        if self.damaged is None:
            return
        name, good = self.damaged
        if self.segments.get(name, good) != good:  # one that was removed may have been put again by a late request
            try:
                self.entries(name)
            except BahiError:
                pass
            else:
                raise self._ledger.violated(f"(5) {name} is not what was put there, and looks well")
        self.segments[name] = good
        self.damaged = self._ledger.missing = None

    def read(self, name: Name, offset: int, length: int) -> bytes:
        """Give a range of a segment."""
        content = self.segments.get(name, b"")
        start = offset if offset >= 0 else max(0, len(content) + offset)
        return content[start : start + length]

    def create(self, name: Name, content: bytes) -> bool:
        """Put a segment; what is in it stands in the ledger from now on."""
        if name in self.segments:
            return False
        self.segments[name] = content
        for entry in self.entries(name):
            self._ledger.archive(name.stream, entry)
        return True

    def entries(self, name: Name) -> list[bytes]:
        """Give what is in a segment."""
        groups = segment.read_all(lambda offset, length: self.read(name, offset, length), str(name))
        return [entry for group in groups for entry in group]


class SimulatedShelf:
    """`events.shelf.Shelf` of one process, over the simulated network."""

    def __init__(self, world: World, server: ShelfServer) -> None:
        self._world, self._server = world, server

    @property
    def place(self) -> str:
        return "the simulated bucket"

    async def streams(self) -> list[str]:
        async def work() -> list[str]:
            return sorted({name.stream for name in self._server.segments})

        return await self._ask("streams", work)

    async def firsts(self, stream: str, at_least: int) -> list[int]:
        async def work() -> list[int]:
            firsts = (name.first for name in self._server.segments if name.stream == stream)
            return sorted(first for first in firsts if first >= at_least)

        return await self._ask(f"list from {at_least}", work)

    async def read(self, name: Name, offset: int, length: int) -> bytes:
        async def work() -> bytes:
            return self._server.read(name, offset, length)

        return await self._ask(f"read {name.first}", work)

    async def create(self, name: Name, content: bytes) -> bool:
        async def work() -> bool:
            return self._server.create(name, content)

        return await self._ask(f"put {name.first}", work)

    async def sweep(self, stream: str) -> None:
        """Leave nothing: what is half sent is not here."""

    async def _ask(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        return await self._world.call(self._server, what, work)
