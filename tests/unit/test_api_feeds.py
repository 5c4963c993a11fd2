"""What is told of a feed: its state from its beats, its rates from the last seconds, its losses from its own events."""

import msgspec

from api.feeds import RATE_SECONDS, SILENT_SECONDS, Feed
from events.decode import decode
from events.event import Recorded
from events.messages import LOGIN_MISSING, MARKETS_CLOSED, Beat, Gap, Lost, Message, Subscribed, pack
from runtime.clock import ManualClock
from tests.api_server import ltp_frame

START = 1_790_000_000 * 10**9
STREAM = "ticks-kite-2"


class Told:
    """A feed and the clock it lives by."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.feed = Feed(STREAM, 10, self.clock)
        self.n = 10

    def say(self, *messages: Message) -> None:
        for message in messages:
            event = pack(message, self.clock.now_ns())
            self.take(event.type, event.payload)

    def take(self, kind: str, payload: bytes, late_seconds: float = 0) -> None:
        self.n += 1
        at_ns = self.clock.now_ns() - round(late_seconds * 1e9)
        batch = [Recorded(STREAM, self.n, at_ns, kind, payload)]
        ticks = decode(batch).ticks
        self.feed.take(batch, ticks, ticks["instrument_token"].tolist())


def beat(gap_from_ns: int | None = None) -> Beat:
    return Beat(
        run="r", frames=1, packets=1, bytes=1, heartbeats=1, texts=0, last_message_ns=START, gap_from_ns=gap_from_ns
    )


def test_a_feed_is_unknown_connected_silent_and_connected_again() -> None:
    told = Told()
    assert told.feed.state() == "unknown"
    told.say(beat())
    assert told.feed.state() == "connected"
    told.clock.advance(SILENT_SECONDS + 0.1)
    assert told.feed.state() == "silent"
    told.say(beat())
    assert told.feed.state() == "connected"


def test_a_loss_is_open_until_its_gap_is_told() -> None:
    told = Told()
    told.say(beat(), Lost(from_ns=START, reason="socket closed"), beat(START))
    view = told.feed.view()
    assert (view.state, view.reason) == ("lost", "socket closed")
    assert view.gap_from == "2026-09-21T19:43:20.000+05:30"
    told.say(Gap(from_ns=START, to_ns=START + 1, reason="socket closed"), beat())
    view = told.feed.view()
    assert (view.state, view.gap_from, view.reason) == ("connected", None, None)


def test_a_socket_that_is_not_open_is_no_connected_feed() -> None:
    told = Told()
    told.say(msgspec.structs.replace(beat(), down=LOGIN_MISSING))
    view = told.feed.view()
    assert (view.state, view.down, view.gap_from) == ("lost", "there is no access token", None)
    told.say(beat())
    assert (told.feed.view().state, told.feed.view().down) == ("connected", None)


def test_rates_are_of_the_last_seconds_and_lag_is_the_worst() -> None:
    told = Told()
    for late in (0.001, 0.020, 0.002):
        told.take("kite.frame.v1", ltp_frame({1: 1.0, 2: 2.0}), late)
    view = told.feed.view()
    assert (view.ticks_per_second, view.frames_per_second) == (6 / RATE_SECONDS, 3 / RATE_SECONDS)
    assert (view.lag_ms, view.instruments, view.n) == (20.0, 2, 13)
    told.clock.advance(RATE_SECONDS + 0.1)
    view = told.feed.view()
    assert (view.ticks_per_second, view.lag_ms, view.instruments) == (0.0, None, 2)


def test_what_is_subscribed_is_told_by_the_feed() -> None:
    told = Told()
    told.say(Subscribed(run="r", tokens=[1, 2, 3], mode="full"))
    view = told.feed.view()
    assert (view.feed, view.connection, view.instruments, view.mode) == ("kite", 2, 3, "full")


def test_a_broken_event_tells_nothing_and_breaks_nothing() -> None:
    told = Told()
    told.take("feed.beat.v1", b"{")
    assert told.feed.state() == "unknown"
    assert told.feed.n == 11


def test_a_feed_whose_markets_are_closed_is_neither_connected_nor_lost() -> None:
    told = Told()
    told.say(msgspec.structs.replace(beat(START), down=f"{MARKETS_CLOSED} until 2026-11-23 08:55 IST"))
    view = told.feed.view()
    assert (view.state, view.down) == ("closed", f"{MARKETS_CLOSED} until 2026-11-23 08:55 IST")
