"""One program that is kept running.

States: waiting -> running -> waiting -> ... -> over. `over` is reached by a stop, and by a program that was to succeed
once and did. A program's process is watched by its pidfd: while it has not been collected its number cannot become
another's, so what is left of its session is killed first and the process collected after.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator

from ops.supervisor import session
from ops.supervisor.console import Console, LineSplitter
from ops.supervisor.guard import Guard
from ops.supervisor.program import LIVED_WELL_SECONDS, Program, ended_how, wait_seconds
from runtime.errors import BahiError
from runtime.metrics import SUPERVISOR_RESTARTS

READ_BYTES_MAX = 256 * 1024


class Child:
    """One program, its process of the moment, and the task that starts it again."""

    def __init__(self, program: Program, guard: Guard, console: Console) -> None:
        self.program = program
        self.first_end = asyncio.Event()
        """Set when its process ended for the first time, however it did."""
        self.succeeded = asyncio.Event()
        """Set when it ended with exit code 0."""
        self.last_exit_code: int | None = None
        """Of its last end, negative for a signal; None before, and where it could not be started."""
        self._guard = guard
        self._console = console
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Return the program's name."""
        return self.program.name

    @property
    def pid(self) -> int | None:
        """Return the process id of the moment, None between two lives."""
        return self._process.pid if self._process else None

    def begin(self) -> None:
        """Start the program now, and from now on whenever it ends."""
        assert self._task is None, f"{self.name} runs already"
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"keep {self.name}")
        self._task.add_done_callback(self._over)

    async def stop(self, seconds_max: float) -> bool:
        """Ask the program to end, kill what is left after `seconds_max`; say whether it ended by itself."""
        self._stopping.set()
        if self._task is None:
            return True
        self._signal(self.program.stop_signal)
        done, _ = await asyncio.wait([self._task], timeout=max(seconds_max, 0))
        if not done:
            self.kill()
            await self._task
        return bool(done)

    def kill(self) -> None:
        """Kill the process; the rest of its session follows when its end is seen."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    def _signal(self, wanted: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(wanted)

    def _over(self, task: asyncio.Task[None]) -> None:
        """Say where we ourselves failed: the program may run on, but nobody starts it again."""
        if not task.cancelled() and task.exception() is not None:
            self._console.say(f"{self.name} is no longer watched: {task.exception()!r}")

    async def _keep(self) -> None:
        """Live, wait, live again, until stopped."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            exit_code = self.last_exit_code = await self._live()
            self.first_end.set()
            if exit_code == 0:
                self.succeeded.set()
            if self._stopping.is_set() or (self.program.once and exit_code == 0):
                return
            failures = 1 if time.monotonic() - began >= LIVED_WELL_SECONDS else failures + 1
            seconds = wait_seconds(self.program.waits, exit_code, failures)
            self._console.say(f"{self.name} {ended_how(exit_code)}; it is started again in {seconds:.1f} s")
            SUPERVISOR_RESTARTS.labels(self.name).inc()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()

    async def _live(self) -> int | None:
        """Run the process from start to end; return its exit code, None where it could not be started."""
        async with self._output() as output:
            try:
                process = self.program.start(output)
            except (OSError, BahiError) as error:
                self._console.say(f"{self.name}: {error}")
                return None
            finally:
                os.close(output)
            self._process = process
            self._guard.watch(process.pid, self.program.stop_signal)
            await _end_of(process.pid)
            await asyncio.to_thread(session.extinguish, process.pid)
            self._process = None
            exit_code = process.wait()
            self._guard.forget(process.pid)
            return exit_code

    @contextlib.asynccontextmanager
    async def _output(self) -> AsyncIterator[int]:
        """Yield a descriptor for the process's output (the caller closes it); its lines go to the console."""
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        lines = LineSplitter(self._console, self.name)

        def take() -> bool:
            """Take what is there, once, so that a chatty program does not keep the loop; say whether there was any."""
            try:
                data = os.read(reading, READ_BYTES_MAX)
            except BlockingIOError:
                return False
            if not data:
                # The last writer is gone.
                loop.remove_reader(reading)
            lines.feed(data)
            return bool(data)

        loop.add_reader(reading, take)
        try:
            yield writing
        finally:
            loop.remove_reader(reading)
            while take():
                continue
            lines.end()
            os.close(reading)


async def _end_of(pid: int) -> None:
    """Wait until a child of ours has ended; it is not collected."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
