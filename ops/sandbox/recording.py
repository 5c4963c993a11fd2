"""A recording of the log as a tape: the messages of a ticker go to the clients as they were received.

It may be of any length, because it is read while it is played; only its instruments are known beforehand. Who plays it,
and how fast, is not the sandbox's: the recording is handed a sink, and gives it batch after batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import numpy as np

from events.decode import FRAME_TYPES
from events.event import Recorded
from ops.sandbox import wire
from ops.sandbox.audience import Audience
from ops.sandbox.frames import Frames
from ops.sandbox.hub import Hub
from ops.sandbox.segment_tape import listed


class Recording(msgspec.Struct, frozen=True):
    """What is played. tokens: of its instruments; packets: in all; at_ns: its begin; perform: gives it to a sink."""

    tokens: Sequence[int]
    packets: int
    at_ns: int
    perform: "Callable[[Screening], Awaitable[object]]"


class RecordingStage:
    """A recording as a `Stage`."""

    gives_snapshots = False

    def __init__(self, recording: Recording) -> None:
        """Know its instruments; nothing of it has been played."""
        self.recording = recording
        self.instruments = listed(recording.tokens, recording.at_ns)
        self.places = {i.instrument_token: place for place, i in enumerate(self.instruments)}
        self.is_index = np.array([i.is_index for i in self.instruments], np.bool_)
        self.board = np.zeros((len(self.instruments), wire.FULL_BYTES), np.uint8)
        self.board[:, :4] = np.array(recording.tokens, ">u4").view(np.uint8).reshape(-1, 4)


class Screening:
    """A recording on its way to its audience; a sink for whoever plays it."""

    def __init__(self, stage: RecordingStage, hub: Hub) -> None:
        """Play nothing yet; `run` does."""
        self.stage = stage
        self.played = 0  # packets, of stage.recording.packets
        self.sent = 0
        self.done = asyncio.Event()
        self._hub = hub
        self._audience = Audience(hub, stage)

    async def run(self) -> None:
        """Have it played to its end."""
        await self.stage.recording.perform(self)
        self.done.set()

    async def gathered(self) -> bool:
        """Wait for the audience; say whether it had to be waited for."""
        return await self._audience.gathered()

    async def show(self, batch: Sequence[Recorded]) -> None:
        """Send what is in the batch to all who want it, when there is room; the slowest one sets the pace."""
        frames = Frames.of([event.payload for event in batch if event.type in FRAME_TYPES], self.stage.places)
        if not frames.payloads:
            return
        bodies = frames.bodies()
        self.stage.board[frames.which] = bodies
        self._hub.pass_by(frames.which, bodies)
        sent = await self._relay(frames)
        while not sent and not self._audience.is_there():  # the last client left before it got these
            await self._audience.gathered()
            sent = await self._relay(frames)
        self.sent += sent
        self.played += len(frames.packets)

    async def _relay(self, frames: Frames) -> int:
        return sum(await asyncio.gather(*(connection.relay(frames) for connection in self._hub)))
