"""What owners of a pair do in tests: call again as a loop does, and end a transaction on purpose."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtime.errors import Unreachable

T = TypeVar("T")


class Torn(Exception):
    """Ends a transaction."""


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Call as a loop does: again after its session was ended."""
    while True:
        try:
            return await call()
        except Unreachable:
            continue
