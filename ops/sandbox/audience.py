"""Whom a tape is played to: it begins when they have asked for what they want.

That is when the clients together have subscribed to all of the tape and set a mode for each instrument, or when they
have subscribed to some of it and asked for nothing new for AUDIENCE_SECONDS.
"""

import asyncio

from ops.sandbox.hub import Hub
from ops.sandbox.stage import Stage

AUDIENCE_SECONDS = 1.0


class Audience:
    """The clients of a hub, as one."""

    def __init__(self, hub: Hub, tape: Stage) -> None:
        """Look at who wants what of `tape`."""
        self._hub, self._tape = hub, tape

    def is_there(self) -> bool:
        """Say whether somebody has subscribed to anything."""
        return any(connection.subscriptions.modes for connection in self._hub)

    async def gathered(self) -> bool:
        """Wait until somebody listens and has asked for what he wants; say whether he had to be waited for."""
        if self.is_there():
            return False
        while True:
            self._hub.changed.clear()
            if self._complete():
                return True
            try:
                async with asyncio.timeout(AUDIENCE_SECONDS):
                    await self._hub.changed.wait()
            except TimeoutError:
                if self.is_there():
                    return True

    def _complete(self) -> bool:
        settled: set[int] = set()
        for connection in self._hub:
            settled |= connection.subscriptions.settled
        return settled >= self._tape.places.keys()
