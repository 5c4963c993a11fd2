"""The ticker over the broker's real client: stored as it was sent, every loss declared, every fault outlived."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from events.decode import decode
from events.decode import tick as kinds
from events.event import Recorded
from events.messages import LOGIN_REFUSED, Beat, Connected, Gap, Lost, Stalled, Subscribed, unpack
from producers.kite.connection import Bounds
from runtime.metrics import FEED_HELD
from runtime.settings import Settings
from tests.exchange import call, fault
from tests.ports import free_port
from tests.tickers import STREAM, Running, Watcher, account, bring_token, count, last_of, market, seen


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


def check_beats(heard: list[Recorded]) -> None:
    """Each beat tells exactly what was stored before it, since its run began."""
    frames: dict[str, int] = {}
    run = ""
    for event in heard:
        if event.type == "feed.connected.v1":
            run = unpack(event, Connected).run
        elif event.type == "kite.frame.v1":
            frames[run] = frames.get(run, 0) + 1
        elif event.type == "feed.beat.v1":
            beat = unpack(event, Beat)
            assert beat.frames == frames.get(beat.run, 0)


async def test_frames_are_stored_as_they_were_sent_and_the_end_is_declared(
    settings: Settings, watcher: Watcher
) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings):
            await watcher.until(seen(frame=30, beat=2))
        heard = await watcher.all()
        lost = unpack(last_of("lost", heard), Lost)
        assert lost.reason == "closed by us"
        async with Running(settings):
            await watcher.until(seen(frame=count("frame", heard) + 5, gap=1))
    heard = await watcher.all()
    gap = unpack(last_of("gap", heard), Gap)
    assert gap.from_ns == lost.from_ns
    assert account(settings, heard).stored == count("frame", heard)
    check_beats(heard)


async def test_after_a_drop_everything_comes_again_in_full(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings):
            for drops in range(1, 4):
                await watcher.until(seen(frame=20 * drops, gap=drops - 1))
                await fault(exchange, "drop")
                heard = await watcher.until(seen(gap=drops))
            await watcher.until(seen(frame=count("frame", heard) + 20))
    heard = await watcher.all()
    modes = {unpack(event, Subscribed).mode for event in heard if event.type == "feed.subscribed.v1"}
    assert modes == {"full"}
    newest = [event for event in heard if event.type == "kite.frame.v1"][-15:]
    assert set(decode(newest).ticks["kind"].tolist()) <= {kinds.FULL, kinds.INDEX_FULL}
    check_gaps(heard)
    account(settings, heard)
    check_beats(heard)


def check_gaps(heard: list[Recorded]) -> None:
    """Each loss is told at once, from the last message on, and ends with the first frame after it."""
    frames = [event.at_ns for event in heard if event.type == "kite.frame.v1"]
    for event in heard:
        if event.type == "feed.gap.v1":
            gap = unpack(event, Gap)
            before = [at for at in frames if at <= gap.from_ns]
            assert before, "it begins after something was stored"
            assert not [at for at in frames if gap.from_ns < at < gap.to_ns], "nothing was stored inside it"
            assert gap.to_ns in frames
            lost = [unpack(each, Lost).from_ns for each in heard if each.type == "feed.lost.v1" and each.n < event.n]
            assert lost[-1] == gap.from_ns


async def test_a_socket_that_froze_half_open_is_found_out_and_replaced(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings, Bounds(silence_seconds=2.5)):
            await watcher.until(seen(frame=20))
            await fault(exchange, "freeze", seconds=60)
            heard = await watcher.until(seen(stalled=1, gap=1))
            await watcher.until(seen(frame=count("frame", heard) + 10))
    heard = await watcher.all()
    stalled = unpack(last_of("stalled", heard), Stalled)
    assert 2_500 <= stalled.silent_ms < 6_000
    check_gaps(heard)
    account(settings, heard)


async def test_a_quiet_market_is_not_a_dead_socket(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        # Heartbeats come each second; the limit leaves room for a machine that is slow to send one.
        async with Running(settings, Bounds(silence_seconds=4.5)):
            await watcher.until(seen(frame=5))
            for connection in exchange.hub:
                connection.subscriptions.modes.clear()
                connection.subscriptions.follow(exchange.stage)
            heard = await watcher.until(seen(frame=5))
            await watcher.until(seen(beat=count("beat", heard) + 6))
            assert count("stalled", await watcher.all()) == 0


def downs(heard: list[Recorded]) -> set[object]:
    """Give what the beats say of why the connection is down."""
    return {unpack(event, Beat).down for event in heard if event.type == "feed.beat.v1"}


async def test_an_ended_token_is_said_and_a_new_one_is_taken_without_a_restart(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings) as running:
            heard = await watcher.until(seen(frame=10))
            await watcher.until(seen(beat=count("beat", heard) + 1))
            await fault(exchange, "expire_token")
            heard = await watcher.until(lambda heard: LOGIN_REFUSED in downs(heard))
            await watcher.until(seen(beat=count("beat", heard) + 2))
            assert not running.task.done()
            await bring_token(settings, exchange)
            await watcher.until(seen(gap=1, frame=count("frame", heard) + 10))
    said = capsys.readouterr().out
    assert {msgspec.UNSET, LOGIN_REFUSED} <= downs(await watcher.all()), "whoever reads the log can say so"
    assert "feed.token_refused" in said
    assert said.count("ticks.waits_for_token") == 1
    assert "bahi login sandbox" in said
    assert "library.said" not in said, "the SDK's own lines would say it all again"
    heard = await watcher.all()
    check_gaps(heard)
    account(settings, heard)


async def test_a_token_that_was_refused_in_passing_is_tried_again(
    settings: Settings, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.kite.address.REFUSED_SECONDS", 0.1)
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings):
            await watcher.until(seen(frame=10))
            await fault(exchange, "refuse", count=2)
            await fault(exchange, "drop")
            heard = await watcher.until(seen(gap=1))
            await watcher.until(seen(frame=count("frame", heard) + 10))
    check_gaps(await watcher.all())


async def test_it_waits_for_the_first_token_and_calls_that_no_fault_while_everything_starts(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings) as exchange, Running(settings):
        await watcher.until(seen(beat=2))
        assert count("connected", await watcher.all()) == 0
        assert "ticks.waits_for_login" in (said := capsys.readouterr().out)
        assert "warning" not in said
        await bring_token(settings, exchange)
        await watcher.until(seen(frame=5))


async def test_a_ticker_that_the_sdk_gave_up_is_made_anew(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    async with market(settings, port=port) as exchange:
        await bring_token(settings, exchange)
        running = Running(settings, Bounds(reconnect_tries=1))
        await watcher.until(seen(frame=10))
    heard = await watcher.until(seen(lost=1))
    while "feed.new_ticker" not in capsys.readouterr().out:
        heard = await watcher.until(seen(beat=count("beat", heard) + 1))
    async with market(settings, port=port):
        await watcher.until(seen(gap=1, frame=count("frame", heard) + 10))
        await running.ended()
    heard = await watcher.all()
    check_gaps(heard)
    account(settings, heard)


async def test_at_the_bound_the_socket_waits_and_nothing_is_lost(settings: Settings, watcher: Watcher) -> None:
    held = FEED_HELD.labels(STREAM)
    before = held._value.get()
    async with market(settings, instruments=200, rate=4_000) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings, Bounds(waiting_bytes=4_000)):
            await watcher.until(seen(frame=1_500))
    assert held._value.get() > before
    heard = await watcher.all()
    assert count("gap", heard) == 0
    assert count("lost", heard) == 1, "by its own end"
    assert account(settings, heard).stored == count("frame", heard)


async def test_texts_are_stored_and_odd_ones_do_no_harm(settings: Settings, watcher: Watcher) -> None:
    texts = [
        b'{"type": "order", "data": {"order_id": "1"}}',
        b'[{"type": "order"}]',
        b'"a word"',
        b"3",
        b"null",
        b"no json",
        b'{"type": "error", "data": "too many"}',
        b'{"type": "instruments_meta", "data": {}}',
    ]
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings):
            before = count("text", await watcher.until(seen(frame=5)))
            for text in texts:
                assert (await call(exchange, "POST", "/sandbox/text", data=text))[0] == 200
            heard = await watcher.until(seen(text=before + len(texts)))
            await watcher.until(seen(frame=count("frame", heard) + 10))
    heard = await watcher.all()
    assert [event.payload for event in heard if event.type == "kite.text.v1"][before:] == texts
    assert count("connected", heard) == 1


async def test_repeated_cut_and_unknown_frames_are_stored_as_they_came(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings):
            await watcher.until(seen(frame=5))
            for name in ("repeat", "cut", "unknown", "reorder"):
                await fault(exchange, name, count=3)
            await fault(exchange, "reorder", count=3, what="frames")
            await watcher.until(seen(frame=60))
    heard = await watcher.all()
    account(settings, heard)
    check_beats(heard)
    assert count("connected", heard) == 1
