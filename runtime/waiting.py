"""How long to wait before the same thing is tried again: growing, capped, jittered; and cancelling that is not lost."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

FIRST_SECONDS = 0.05  # a lost packet or a server that restarts is over in no time
GROWTH = 1.8
CAP_SECONDS = 2.0  # a server that is back is found within this; tried for ever
JITTER = 0.3  # of each wait, so that all processes do not knock at once

T = TypeVar("T")


class Backoff:
    """The waits of one retry loop; `reset` after a success."""

    def __init__(self, cap_seconds: float = CAP_SECONDS) -> None:
        """Begin with the shortest wait."""
        self._cap_seconds = cap_seconds
        self._next_seconds = FIRST_SECONDS
        self.tries = 0  # waits since the last success

    def next_seconds(self) -> float:
        """Give the next wait and make the one after it longer."""
        self.tries += 1
        wait = self._next_seconds * (1 + JITTER * (2 * random.random() - 1))
        self._next_seconds = min(self._next_seconds * GROWTH, self._cap_seconds)
        return wait

    async def wait(self) -> None:
        """Wait for the next time."""
        await asyncio.sleep(self.next_seconds())

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next_seconds = FIRST_SECONDS
        self.tries = 0


@contextmanager
def heed_cancel() -> Iterator[None]:
    """Raise the cancelling that the work inside has swallowed.

    Until Python 3.12 `asyncio.wait_for` loses one that comes at the moment in which what it waits for ends, and both
    redis-py and psycopg wait with it: a task that loops over their calls would never end.
    """
    task = asyncio.current_task()
    assert task is not None, "only tasks are cancelled"
    before = task.cancelling()
    try:
        yield
    finally:  # also where the work went on to fail for another reason
        if task.cancelling() > before:
            raise asyncio.CancelledError


async def in_thread(work: Callable[[], T]) -> T:
    """Give what `work` gives, done in a thread. A cancelling is heeded when the thread has ended.

    A thread cannot be cut off. `asyncio.to_thread` forgets it when its caller is cancelled: it goes on writing into
    files that the caller closes, or that another one has taken over meanwhile.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen here: nobody else will ask, and the caller is told of the cancelling
        raise
