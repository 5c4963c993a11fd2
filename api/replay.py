"""Resume: what a client missed is read from the log again, and then runs into the live tail without hole or repeat.

    hold     the client is CATCHING: from this very step on, what the hub takes is held for it; the hub's position at
             this step is the target
    replay   each stream is read from the cursor to its target, decoded, and the client's ticks are sent
    release  what was held goes out; the client is LIVE

A replay may take longer than what can be held. Then what was held is dropped, and a new round begins from where the
replay stands to where the hub stands by then: nothing is lost, because the log has it. The client sets the pace of its
own replay, and of nothing else.
"""

import asyncio

from api.audience import chosen, message
from api.live import READ_EVENTS_MAX, Live
from api.viewer import Viewer
from events import cursor
from events.cursor import Position
from events.decode import decode
from events.event import Recorded
from events.reader import Reader
from runtime.errors import BadInput, Unreachable
from runtime.waiting import Backoff

AHEAD_SECONDS_MAX = 3.0  # a log that lost its tail is filled again by its writer within this
REPLAYS_MAX = 4  # at once; each costs a core's share, and the others wait their turn


class Replays:
    """The replays of all clients; a few at a time."""

    def __init__(self, live: Live) -> None:
        """Take the hub that replays run into."""
        self._live = live
        self._turns = asyncio.Semaphore(REPLAYS_MAX)

    async def run(self, viewer: Viewer, reader: Reader, start: Position) -> None:
        """Bring a client from `start` to the live tail; `reader` is this replay's own.

        Raises BadInput for a cursor ahead of the log, Halt where the log cannot give what the cursor asks for, Gone.
        """
        position = dict(start)
        async with self._turns:
            await self._wait_for_log(position)
            while True:
                viewer.hold()
                await self._reach(viewer, reader, position, self._live.position)
                if not viewer.overtaken:
                    viewer.release()
                    return

    async def _reach(self, viewer: Viewer, reader: Reader, position: Position, target: Position) -> None:
        """Send the client's ticks from `position` up to `target`, a batch of each stream in turn."""
        backoff = Backoff()
        while left := [stream for stream, n in target.items() if position.get(stream, 0) < n]:
            for stream in left:
                after = position.get(stream, 0)
                batch = await _read(reader, stream, after, target[stream] - after)
                if not batch:
                    await backoff.wait()
                    continue
                backoff.reset()
                position[stream] = batch[-1].n
                encoded = chosen(decode(batch).ticks, viewer.tokens, viewer.depth)
                if encoded:
                    await viewer.say(message(encoded, cursor.to_word(position)).text)

    async def _wait_for_log(self, position: Position) -> None:
        """Wait until the hub knows the log's streams and has reached a cursor that lies ahead of it."""
        await self._live.found_streams.wait()
        deadline = asyncio.get_running_loop().time() + AHEAD_SECONDS_MAX
        while ahead := _ahead(position, self._live.position):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise BadInput(
                    "a cursor of this log",
                    f"one that lies ahead of it in {', '.join(ahead)}",
                    "leave resume_from out to begin now",
                )
            await self._live.moved(left)


async def _read(reader: Reader, stream: str, after: int, limit: int) -> list[Recorded]:
    try:
        return await reader.read(stream, after, min(READ_EVENTS_MAX, limit))
    except Unreachable:  # the log comes back, and the client waits as the hub does
        return []


def _ahead(position: Position, reached: Position) -> list[str]:
    return sorted(stream for stream, n in position.items() if stream in reached and n > reached[stream])
