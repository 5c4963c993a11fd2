"""The ticker leaves the broker alone while its markets are closed, on a clock that is moved by hand."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

import msgspec
import pytest

from events.event import Recorded
from events.messages import MARKETS_CLOSED, Beat, Gap, Lost, unpack
from ops.facts.gather import gather
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND, SystemClock
from runtime.settings import Settings
from runtime.vault import Vault
from tests.exchange import log_in, root, until
from tests.tickers import Running, Watcher, count, last_of, market, seen

STREAM = "ticks-kite-1"


class SetClock(SystemClock):
    """The machine's clock, set to another time of day; it goes on from there."""

    def __init__(self, text: str) -> None:
        self._ahead_ns = 0
        self.set(text)

    def set(self, text: str) -> None:
        """Set it to a time of India."""
        wanted = round(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp()) * NS_PER_SECOND
        self._ahead_ns = wanted - super().now_ns()

    def now_ns(self) -> int:
        return super().now_ns() + self._ahead_ns


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


def says(down: str) -> Callable[[list[Recorded]], bool]:
    def wanted(heard: list[Recorded]) -> bool:
        beats = [unpack(event, Beat) for event in heard if event.type == "feed.beat.v1"]
        return any(beat.down == down for beat in beats)

    return wanted


async def test_it_connects_before_the_open_rests_after_the_close_and_comes_back(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings) as exchange:
        tokens = tuple(str(each.instrument_token) for each in exchange.stage.instruments[:5])
        kite = msgspec.structs.replace(
            settings,
            broker=("kite",),
            kite_api_key="sandbox",
            kite_api_root=root(exchange),
            kite_ws_root=root(exchange).replace("http", "ws"),
            watchlist=tokens,
        )
        clock = SetClock("2026-11-20T08:00")
        Vault(settings.bahi_data_dir).put("kite/access_token", await log_in(exchange))
        async with Running(kite, clock=clock):
            closed = f"{MARKETS_CLOSED} until 2026-11-20 08:55 IST"
            heard = await watcher.until(says(closed), STREAM)
            assert count("connected", heard) == 0
            assert not list(exchange.hub)
            clock.set("2026-11-20T08:55:01")
            heard = await watcher.until(seen(frame=5), STREAM)
            assert count("lost", heard) == 0
            clock.set("2026-11-20T16:05:01")
            heard = await watcher.until(says(f"{MARKETS_CLOSED} until 2026-11-23 08:55 IST"), STREAM)
            (feed,) = (await gather(kite, clock)).feeds
            assert (feed.state, feed.down) == ("closed", f"{MARKETS_CLOSED} until 2026-11-23 08:55 IST")
            lost = unpack(last_of("lost", heard), Lost)
            assert lost.reason == MARKETS_CLOSED
            await until(exchange, lambda: not list(exchange.hub))  # the end of a socket is noticed after it is said
            frames = count("frame", heard)
            clock.set("2026-11-23T09:00")
            heard = await watcher.until(seen(frame=frames + 3, gap=1), STREAM)
            assert unpack(last_of("gap", heard), Gap).from_ns == lost.from_ns
    said = capsys.readouterr().out
    assert "ticks.markets_closed" in said
    assert "feed.not_connected" not in said


async def test_a_calendar_that_does_not_know_the_year_or_the_hours_stops_no_tick(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings) as exchange:
        kite = msgspec.structs.replace(
            settings,
            broker=("kite",),
            kite_api_key="sandbox",
            kite_api_root=root(exchange),
            kite_ws_root=root(exchange).replace("http", "ws"),
            watchlist=(str(exchange.stage.instruments[0].instrument_token),),
        )
        Vault(settings.bahi_data_dir).put("kite/access_token", await log_in(exchange))
        async with Running(kite, clock=SetClock("2031-05-04T12:00")):
            await watcher.until(seen(frame=2), STREAM)
        async with Running(msgspec.structs.replace(kite, market_hours_only=False), clock=SetClock("2026-11-22T12:00")):
            heard = await watcher.all(STREAM)
            await watcher.until(seen(frame=count("frame", heard) + 2), STREAM)
        async with Running(kite, clock=SetClock("2026-11-08T18:15")):  # a Sunday, with trading at hours not known
            heard = await watcher.all(STREAM)
            await watcher.until(seen(frame=count("frame", heard) + 2), STREAM)
    assert "ticks.no_calendar" in capsys.readouterr().out


async def test_the_sandbox_never_closes(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange:
        Vault(settings.bahi_data_dir).put("sandbox/access_token", await log_in(exchange))
        async with Running(settings, clock=SetClock("2026-11-22T12:00")):
            await watcher.until(seen(frame=3))
