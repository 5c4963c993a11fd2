"""A simulated Redis: the streams of `events.memory_log` on a server that may be away, forget, or be full."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from events import codec
from events.log import READ_ENTRIES_MAX, Appended
from events.memory_log import MemoryLog
from tests.simulation.ledger import Ledger
from tests.simulation.world import Service, World

T = TypeVar("T")
SNAPSHOTS_MAX = 8  # states that a server whose append-only file lost its end may fall back to


class RedisServer(Service):
    """The server. What was ever in it stands in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__("redis")
        self.full = False
        self.memory = MemoryLog()
        self._ledger = ledger
        self.marks: dict[tuple[str, str], int] = {}  # by stream and projector
        self._snapshots: list[dict[str, list[bytes]]] = []

    async def append(self, stream: str, entries: Sequence[bytes], archived: int, previous: bytes | None) -> Appended:
        if self.full:
            raise self.lost("OOM command not allowed when used memory > 'maxmemory'")
        await self._keep_state()
        answer = await self.memory.append(stream, entries, archived, previous)
        for entry in entries:
            if codec.entry_n(entry) <= answer.last:
                self._ledger.see(stream, entry, "redis")
        return answer

    async def trim(self, stream: str, upto: int) -> int:
        await self._keep_state()
        first = next(iter(await self.memory.read(stream, 0, limit=1)), None)
        self._ledger.trimmed(stream, codec.entry_n(first) if first else upto + 1, upto)
        return await self.memory.trim(stream, upto)

    async def _keep_state(self) -> None:
        streams = await self.memory.streams()
        state = {stream: await self.memory.read(stream, 0, limit=1 << 30) for stream in streams}
        self._snapshots = [*self._snapshots[-SNAPSHOTS_MAX + 1 :], state]

    async def fall_back(self, states: int) -> str:
        """Lose the last changes, as a server whose append-only file was cut; say what is left."""
        if not self._snapshots:
            return "nothing to lose"
        place = max(0, len(self._snapshots) - states)
        state = self._snapshots[place]
        del self._snapshots[place:]
        self.break_connections()
        for stream in await self.memory.streams():
            self.memory.forget(stream)
        for stream, entries in state.items():
            await self.memory.append(stream, entries, archived=1 << 60)
        ends = [f"{stream} ends at {codec.entry_n(entries[-1])}" for stream, entries in state.items() if entries]
        return ", ".join(ends) or "nothing is left"

    async def empty(self) -> None:
        """Lose everything."""
        self.break_connections()
        for stream in await self.memory.streams():
            self.memory.forget(stream)
        self._snapshots, self.marks = [], {}


class SimulatedLog:
    """`events.log.Log` and the marks of positions, of one process, over the simulated network."""

    def __init__(self, world: World, server: RedisServer) -> None:
        self._world, self._server = world, server

    async def append(
        self, stream: str, entries: Sequence[bytes], archived: int, previous: bytes | None = None
    ) -> Appended:
        what = f"append {codec.entry_n(entries[0])}..{codec.entry_n(entries[-1])}"
        return await self._ask(what, lambda: self._server.append(stream, entries, archived, previous))

    async def read(self, stream: str, after: int, limit: int = READ_ENTRIES_MAX, block_ms: int = 0) -> list[bytes]:
        return await self._ask(f"read {after}", lambda: self._server.memory.read(stream, after, limit, block_ms))

    async def last(self, stream: str) -> tuple[int, bytes | None]:
        return await self._ask("last", lambda: self._server.memory.last(stream))

    async def trim(self, stream: str, upto: int) -> int:
        return await self._ask(f"trim {upto}", lambda: self._server.trim(stream, upto))

    async def streams(self) -> list[str]:
        return await self._ask("streams", self._server.memory.streams)

    async def mark(self, stream: str, projector: str, n: int) -> None:
        """Set a consumer group; its network is never in the way, because nothing but an early warning hangs on it."""
        if not self._server.up:
            raise self._server.lost("connection refused")
        self._server.marks[stream, projector] = n

    async def marked(self, stream: str) -> dict[str, int]:
        """Give where the groups are set."""
        if not self._server.up:
            raise self._server.lost("connection refused")
        return {pair[1]: n for pair, n in self._server.marks.items() if pair[0] == stream}

    async def _ask(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        return await self._world.call(self._server, what, work)
