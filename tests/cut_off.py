"""Work that is cut off at a place of the test's choice, however fast or slow the machine is."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class CutOff(Generic[T]):
    """Await a coroutine, and cancel it in the n-th of its waits; `waits` tells how many it has begun."""

    def __init__(self, work: Coroutine[Any, Any, T], n: int) -> None:
        self._work, self._n = work, n
        self.waits = 0

    def __await__(self) -> Generator[Any, None, T]:
        task = asyncio.current_task()
        assert task is not None
        inner = self._work.__await__()
        go_on: Callable[[], Any] = functools.partial(inner.send, None)
        while True:
            try:
                future = go_on()
            except StopIteration as end:
                value: T = end.value
                return value
            self.waits += 1
            if self.waits == self._n:
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                yield future
                go_on = functools.partial(inner.send, None)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is the work's to handle
                go_on = functools.partial(inner.throw, error)


async def cut_off(work: Coroutine[Any, Any, object], n: int) -> bool:
    """Do the work, cut off in its n-th wait; say whether it has that many. Raises what the work raises of itself."""
    cut = CutOff(work, n)

    async def do() -> None:
        await cut

    doing = asyncio.create_task(do())
    await asyncio.wait([doing])
    if not doing.cancelled():
        doing.result()
    return cut.waits >= n
