"""An event loop without a clock: time jumps to the next thing that is due, and nothing outside has a say.

All simulated processes live on one loop, and each handle belongs to one of them. What is ready runs in the order in
which it became ready, as every event loop promises; what is decided by a seed is how long things take. A frozen
process' handles are kept back. Work for a thread runs as steps of its own: in a real thread, which runs only while
the loop stands still and hands itself back wherever the simulation wants to see others in between.
"""

import asyncio
import contextvars
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

SETTLE_STEPS_MAX = 100_000  # an end takes some hundred

T = TypeVar("T")


class Crashed(BaseException):
    """Ends whatever a process was doing when it died; no code of the product may catch it."""


class Stuck(Exception):
    """Nothing is due any more, and what was waited for has not come."""


class Owner(Protocol):
    """A process, as the loop needs to know it."""

    dead: bool
    frozen: bool
    held: "list[Handle]"
    tasks: "list[asyncio.Task[Any]]"
    jobs: "list[Job]"

    def thread_start(self) -> float:
        """Give the seconds until a thread begins."""
        ...

    def thread_pause(self) -> float | None:
        """Give the seconds until a thread goes on, or None where it need not be interrupted."""
        ...


OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("OWNER", default=None)


class Handle:
    """One call that is due at `due`."""

    __slots__ = ("_cancelled", "arguments", "callback", "context", "due")

    def __init__(
        self, due: float, callback: Callable[..., object], arguments: tuple[Any, ...], context: contextvars.Context
    ) -> None:
        self.due, self.callback, self.arguments, self.context = due, callback, arguments, context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return self.due


class Timeline(asyncio.AbstractEventLoop):
    """The loop. It implements what the product asks of one, and no more."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._order = 0
        self.broken: BaseException | None = None  # what a callback of nobody's raised

    # ---- what asyncio asks for -----------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,  # a coroutine; until Python 3.11 a generator, too
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_: Any,
    ) -> "asyncio.Task[T]":
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name, context=context)
        owner = context.get(OWNER) if context is not None else OWNER.get()
        if owner is not None:
            owner.tasks.append(task)
            if owner.dead:
                task.cancel()
        return task

    def call_soon(  # type: ignore[override]  # only asyncio's own types of handles are named there
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(self.now, callback, args, context or contextvars.copy_context())
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # their handles only
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # their handles only
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(when, callback, args, context or contextvars.copy_context())
        self._order += 1
        heapq.heappush(self._timers, (when, self._order, handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take no notice: a task whose process has died ends as it can, and the rest is awaited by somebody."""

    def run_in_executor(  # type: ignore[override]  # a future is awaited like theirs
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        return Job(self, OWNER.get(), lambda: func(*args)).future

    # ---- running ------------------------------------------------------------------------------------------------

    def complete(self, main: Coroutine[Any, Any, T], until: float) -> T:
        """Run until `main` has ended. Raises Stuck where time would go past `until`."""
        with _running(self):
            task: asyncio.Task[T] = self.create_task(main)
            while not task.done():
                self._step(until)
        return task.result()

    def _step(self, until: float) -> None:
        if not self._ready:
            self._advance(until)
        handle = self._ready.popleft()
        if handle.cancelled():
            return
        owner = handle.context.get(OWNER)
        if owner is not None and owner.frozen:
            owner.held.append(handle)
            return
        self.steps += 1
        handle.context.run(handle.callback, *handle.arguments)
        if self.broken is not None:
            raise self.broken

    def _advance(self, until: float) -> None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers or timers[0][0] > until:
            raise Stuck(f"at {self.now:.3f} s")
        self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            self._ready.append(heapq.heappop(timers)[2])

    def settle(self) -> None:
        """Run what is left when everybody has died, so that no task ends half done."""
        self.broken = None  # it is told by now
        with _running(self):
            for _ in range(SETTLE_STEPS_MAX):
                try:
                    self._step(until=float("inf"))
                except Stuck:
                    return
                finally:
                    self.broken = None
        raise Stuck("the dead do not come to rest")

    def release(self, held: list[Handle]) -> None:
        """Let handles that were kept back run, in their order."""
        self._ready.extend(held)
        held.clear()


@contextmanager
def _running(loop: Timeline) -> Iterator[None]:
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(before)


async def pause(seconds: float) -> None:
    """Let time go by."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    timer = loop.call_later(seconds, _end, future)
    try:
        await future
    finally:
        timer.cancel()


def _end(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Job:
    """Work for a thread: its steps are handles of the loop, in the process that asked for it."""

    def __init__(self, loop: Timeline, owner: Owner | None, work: Callable[[], Any]) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()
        self.owner = owner
        self.error: BaseException | None = None
        self.result: Any = None
        self._loop, self._work = loop, work
        self._worker: _Worker | None = None
        # Else nobody can come in between, and the loop's own thread will do.
        self._aside = owner is not None and (owner.thread_pause() is not None or bool(owner.jobs))
        if owner is not None:
            owner.jobs.append(self)
        loop.call_later(owner.thread_start() if owner is not None else 0.0, self._go_on)

    def _go_on(self) -> None:
        if self.future.cancelled() and self._worker is None:
            self._leave()
            return
        if not self._aside:
            self.do()
        else:
            if self._worker is None:
                self._worker = _Worker.idle(self)
            wait = self._worker.turn()
            if wait is not None:
                self._loop.call_later(wait, self._go_on)
                return
        self._leave()
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)

    def _leave(self) -> None:
        if self.owner is not None:
            self.owner.jobs.remove(self)

    def do(self) -> None:
        """Do the work, whole or up to what ends it."""
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001  # it is raised where the work is awaited
            self.error = error


class _Worker(threading.Thread):
    """A real thread that runs only while the loop waits for it."""

    _idle: "list[_Worker]" = []
    here = threading.local()

    def __init__(self) -> None:
        super().__init__(daemon=True, name="simulated thread")
        self._mine, self._theirs = threading.Lock(), threading.Lock()  # who waits for a turn, waits for his lock
        self._mine.acquire()
        self._theirs.acquire()
        self._job: Job | None = None
        self._wait: float | None = None
        self.start()

    @classmethod
    def idle(cls, job: Job) -> "_Worker":
        """Give a thread for a job."""
        worker = cls._idle.pop() if cls._idle else cls()
        worker._job = job
        return worker

    def turn(self) -> float | None:
        """Let it run until it pauses or ends; give for how long it pauses."""
        self._mine.release()
        self._theirs.acquire()
        return self._wait

    def run(self) -> None:
        _Worker.here.worker = self
        while True:
            self._mine.acquire()
            assert self._job is not None, "it is woken for a job"
            self._job.do()
            self._job, self._wait = None, None
            _Worker._idle.append(self)
            self._theirs.release()

    def rest(self, seconds: float) -> None:
        """Hand the turn back; called in the thread itself."""
        self._wait = seconds
        self._theirs.release()
        self._mine.acquire()


def in_between(owner: Owner) -> None:
    """Let others come in between, where this is a thread's work. Raises Crashed where the process died meanwhile."""
    worker: _Worker | None = getattr(_Worker.here, "worker", None)
    if worker is None:
        return
    seconds = owner.thread_pause()
    if seconds is None:
        return
    worker.rest(seconds)
    if owner.dead:
        raise Crashed


class Gate:
    """A lock for simulated threads: who finds it shut hands the turn back until it is open."""

    def __init__(self) -> None:
        self._shut = False

    def __enter__(self) -> None:
        while self._shut:
            worker: _Worker | None = getattr(_Worker.here, "worker", None)
            assert worker is not None, "only what can be interrupted may wait for a lock"
            worker.rest(0.001)
        self._shut = True

    def __exit__(self, *_: object) -> None:
        self._shut = False
