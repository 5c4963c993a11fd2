"""The rate budget: never more than it allows, over all processes; the urgent first; a share of it without Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from events.budget import SHARES, SLACK, Budget, Haste, Rate
from runtime.clock import SystemClock
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port

RATE = Rate("test", calls=4, seconds=0.2)
WINDOW_SECONDS = RATE.seconds * SLACK


@contextlib.asynccontextmanager
async def budgets(redis_url: str, number: int = 1) -> AsyncIterator[list[Budget]]:
    """Give the budgets of so many processes."""
    made = [Budget(redis_url, RATE, SystemClock()) for _ in range(number)]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield made
    finally:
        for budget in made:
            await budget.close()


async def seconds_for(turns: int, *chosen: Budget) -> float:
    """Take so many turns, all at once; give how long it took."""
    began = SystemClock().monotonic()
    await asyncio.gather(*(chosen[number % len(chosen)].turn("key") for number in range(turns)))
    return SystemClock().monotonic() - began


async def test_two_processes_have_one_budget(redis_url: str) -> None:
    async with budgets(redis_url, 2) as both:
        assert await seconds_for(RATE.calls * 3 + 1, *both) >= 3 * WINDOW_SECONDS


async def test_each_key_has_its_own(redis_url: str) -> None:
    async with budgets(redis_url) as (budget,):
        turns = [budget.turn(str(key)) for key in range(50) for _ in range(RATE.calls)]
        done, waiting = await asyncio.wait([asyncio.ensure_future(turn) for turn in turns], timeout=PATIENCE_SECONDS)
    assert (len(done), len(waiting)) == (50 * RATE.calls, 0)


async def test_the_urgent_goes_before_those_who_wait(redis_url: str) -> None:
    order: list[str] = []

    async def take(budget: Budget, name: str, *, urgent: bool = False) -> None:
        await budget.turn("key", Haste(urgent))
        order.append(name)

    async with budgets(redis_url) as (budget,):
        for _ in range(RATE.calls):
            await budget.turn("key")
        waiting = [asyncio.ensure_future(take(budget, name)) for name in ("first", "second")]
        await asyncio.wait(waiting, timeout=0)
        await asyncio.gather(*waiting, take(budget, "urgent", urgent=True))
    assert order == ["urgent", "first", "second"]


async def test_who_waits_may_become_urgent(redis_url: str) -> None:
    order: list[str] = []
    haste = Haste()

    async def take(budget: Budget, name: str, how: Haste) -> None:
        await budget.turn("key", how)
        order.append(name)

    async with budgets(redis_url) as (budget,):
        for _ in range(RATE.calls):
            await budget.turn("key")
        calls = (take(budget, "first", Haste()), take(budget, "second", haste))
        waiting = [asyncio.ensure_future(call) for call in calls]
        await asyncio.wait(waiting, timeout=0)
        haste.urgent = True
        await asyncio.gather(*waiting)
    assert order == ["second", "first"]


async def test_who_gives_up_leaves_his_place_to_the_next(redis_url: str) -> None:
    async with budgets(redis_url) as (budget,):
        for _ in range(RATE.calls):
            await budget.turn("key")
        gone = [asyncio.ensure_future(budget.turn("key")) for _ in range(100)]
        await asyncio.wait(gone, timeout=0)
        for each in gone:
            each.cancel()
        await budget.turn("key")
        assert all(each.cancelled() for each in gone)


async def test_without_redis_each_process_keeps_to_its_share() -> None:
    async with budgets(f"redis://127.0.0.1:{free_port()}/0") as (budget,):
        assert await seconds_for(RATE.calls // SHARES * 3 + 1, budget) >= 3 * WINDOW_SECONDS


async def book(budget: Budget, window: int, ahead: int = 1 << 50, before: bytes = b"0", late: int = 0) -> list[Any]:
    """Run the script itself, one call a window, in microseconds; give wait and moment."""
    found: list[Any] = await budget._book(budget._place("key"), 1, window, ahead, before, late)
    return found


async def test_bookings_far_ahead_are_those_of_a_clock_that_was_set_back(redis_url: str) -> None:
    async with budgets(redis_url) as (budget,):
        assert (await book(budget, 50_000_000))[0] == 0
        assert 49_000_000 < (await book(budget, 50_000_000))[0] <= 50_000_000
        assert (await book(budget, 50_000_000, ahead=1_000_000))[0] == 0, "it is forgotten"


async def test_a_call_that_left_late_counts_from_when_it_left(redis_url: str) -> None:
    async with budgets(redis_url) as (budget,):
        wait, moment = await book(budget, 50_000_000)
        assert wait == 0
        assert isinstance(moment, bytes)
        later, _ = await book(budget, 50_000_000, before=moment, late=20_000_000)
        assert 69_000_000 < later <= 70_000_000
