"""Twisted's one reactor, which the SDK's tickers run on: started once, in a thread of its own, for good.

It can never be started again, so nothing here stops it: it ends with the process.
"""

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import ParamSpec

from twisted.internet import reactor as _reactor
from twisted.internet.task import LoopingCall

P = ParamSpec("P")


@functools.cache
def start() -> None:
    """Run the reactor in a thread, once; it does not clash with the event loop of the main one."""
    threading.Thread(target=_run, daemon=True).start()


def _run() -> None:
    _reactor.run(installSignalHandlers=False)  # type: ignore[misc, call-arg]  # a module to its types, an object in truth


def call(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a function in the reactor's thread, after those that were asked for before it."""
    _reactor.callFromThread(function, *args, **kwargs)


async def settled() -> None:
    """Wait until all that was asked for with `call` has been done."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    call(loop.call_soon_threadsafe, done.set)
    await done.wait()


class Metronome:
    """A call that is made again and again in the reactor's thread."""

    def __init__(self, function: Callable[[], None]) -> None:
        """Begin with `start`."""
        self._looping = LoopingCall(function)

    def start(self, seconds: float) -> None:
        """Call now, and then each so many seconds."""
        call(self._looping.start, seconds)

    def stop(self) -> None:
        """Call no more."""
        call(self._looping.stop)
