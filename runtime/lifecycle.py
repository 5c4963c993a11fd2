"""How a process of Bahi lives: one event loop, one `Stop`, one exit code.

    0     it ended by itself, or was asked to stop and did
    1     it failed: the log has the traceback, or it says what does not answer
    2     what the user gave is wrong (setting, argument, file)
    3     going on would lose or double something; it must not simply be started again
    130   interrupted while it was ending

SIGTERM and SIGINT set the `Stop`; what runs is then given `GRACE_SECONDS` to write what it holds and end.
After that it is cancelled, which costs nothing that is on disk or in the database.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import Any, TypeVar

from runtime import layout, log, registry
from runtime.errors import BadInput, BahiError, Halt, SettingError
from runtime.settings import Settings

# The contract gives a process 10 s from SIGTERM to its end; the rest is for the interpreter and the supervisor.
GRACE_SECONDS = 8.0

EXIT_OK, EXIT_FAILED, EXIT_WRONG_INPUT, EXIT_HALTED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
T = TypeVar("T")
_log = log.get("lifecycle")


class Stop(asyncio.Event):
    """Set once, when the process has been asked to end."""

    async def pause(self, seconds: float) -> bool:
        """Wait for `seconds`, or less if the stop comes; give whether it has come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wait()
        return self.is_set()

    async def cut(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Give what `work` gives, or None where the stop comes first: the work is then cancelled, and has ended."""
        working, asked = asyncio.ensure_future(work), asyncio.ensure_future(self.wait())
        either: tuple[asyncio.Future[Any], ...] = (working, asked)  # they end with different things
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            return None
        finally:
            for task in either:
                task.cancel()
            await asyncio.gather(*either, return_exceptions=True)


def run(process: str, main: Callable[[Stop], Awaitable[None]], settings: Settings | None = None) -> int:
    """Run `main` until it ends or a signal stops it; give the exit code.

    With `settings` it is a process of its own: logs are set up, the data directory is checked, its presence
    is locked and its metrics are published. Without, it is a command that only needs loop and signals.
    """
    try:
        with ExitStack() as stack:
            name = process
            if settings is not None:
                log.configure(process, settings)
                layout.prepare(settings.bahi_data_dir)
                name = stack.enter_context(layout.present(process, settings.bahi_data_dir))
                log.configure(name, settings)
            return _loop(_live(name, main, settings))
    except BahiError as error:
        if settings is not None and settings.log_format == "json":
            _log.error("process.refused", wanted=error.wanted, found=error.found, remedy=error.remedy)
            return exit_code(error)
        return report(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def report(error: BahiError) -> int:
    """Tell the user on standard error what was wanted, what was found and what to do; give the exit code."""
    lines = (f"bahi: wanted {error.wanted}", f"      found  {error.found}", f"      do     {error.remedy}")
    print(*lines, sep="\n", file=sys.stderr, flush=True)
    return exit_code(error)


def exit_code(error: BaseException) -> int:
    """Give the exit code that `error` means."""
    match error:
        case SettingError() | BadInput():
            return EXIT_WRONG_INPUT
        case Halt():
            return EXIT_HALTED
        case KeyboardInterrupt():
            return EXIT_INTERRUPTED
        case _:
            return EXIT_FAILED


def _loop(work: Coroutine[None, None, int]) -> int:
    factory: Callable[[], asyncio.AbstractEventLoop]
    try:
        from uvloop import new_event_loop as factory
    except ImportError:  # no wheel for this system: the standard loop does the same, slower
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


async def _live(name: str, main: Callable[[Stop], Awaitable[None]], settings: Settings | None) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.ensure_future(main(stop))
    if settings is None:
        return await _until_stopped(work, stop)
    ended = asyncio.Event()
    publisher = asyncio.create_task(registry.publish(name, settings.bahi_data_dir, ended))
    try:
        return await _until_stopped(work, stop)
    finally:
        ended.set()
        await publisher


async def _until_stopped(work: asyncio.Future[None], stop: Stop) -> int:
    """Wait for the work's end; once stopped, no longer than the grace."""
    asked = asyncio.ensure_future(stop.wait())
    either: tuple[asyncio.Future[Any], ...] = (work, asked)  # they end with different things
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not work.done():
        _log.info("process.stopping", grace_seconds=GRACE_SECONDS)
        await asyncio.wait([work], timeout=GRACE_SECONDS)
    if not work.done():
        _log.warning("process.cancelled", grace_seconds=GRACE_SECONDS)
        work.cancel()
        await asyncio.wait([work])
    return _ended(work)


def _ended(work: asyncio.Future[None]) -> int:
    if work.cancelled():
        return EXIT_FAILED
    error = work.exception()
    if error is None:
        return EXIT_OK
    told = _told(error)
    if told is not None:
        raise told
    _log.error("process.crashed", exc_info=error)
    return exit_code(error)


def _told(error: BaseException) -> BahiError | None:
    """Give the error that tells the user what to do; of a group the gravest, if the whole group is of that kind."""
    if isinstance(error, BahiError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    told = [_told(one) for one in error.exceptions]
    if None in told:
        return None
    return max((one for one in told if one is not None), key=exit_code)
