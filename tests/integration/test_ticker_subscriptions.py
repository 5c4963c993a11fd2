"""What the ticker holds: by WATCHLIST and requests, spread over connections, each instrument where it was."""

from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from events.event import Event, Recorded
from events.messages import Subscribe, Subscribed, Unsubscribe, unpack
from runtime.settings import Settings
from tests.patience import until_said
from tests.small_disk import filled, small_disk
from tests.tickers import Running, Watcher, account, bring_token, count, market, seen

STREAMS = [f"ticks-sandbox-{number}" for number in (1, 2, 3)]


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


def held(heard: list[Recorded]) -> list[int]:
    """Give what the connection asked for last."""
    told = [unpack(event, Subscribed).tokens for event in heard if event.type == "feed.subscribed.v1"]
    return told[-1] if told else []


def holds(*tokens: int) -> Callable[[list[Recorded]], bool]:
    return lambda heard: count("subscribed", heard) > 0 and sorted(held(heard)) == sorted(tokens)


def holds_many(number: int) -> Callable[[list[Recorded]], bool]:
    return lambda heard: len(held(heard)) == number


def subscribe(*instruments: str, key: str = "") -> Subscribe:
    return Subscribe(instruments=list(instruments), key=key)


def unsubscribe(*instruments: str, key: str = "") -> Unsubscribe:
    return Unsubscribe(instruments=list(instruments), key=key)


async def test_requests_are_followed_by_name_and_by_number(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        infy, reliance, third = (exchange.stage.instruments[place] for place in range(3))
        name = f"{infy.exchange}:{infy.tradingsymbol}"
        a, b, c = (each.instrument_token for each in (infy, reliance, third))
        chosen = msgspec.structs.replace(settings, watchlist=(name,))
        async with Running(chosen):
            await watcher.until(holds(a))
            await watcher.say("requests", subscribe(str(b), "NSE:NOWHERE"))
            await watcher.until(holds(a, b))
            await watcher.say("requests", Event("request.subscribe.v1", 1, b"broken"), unsubscribe(str(a)))
            await watcher.until(holds(b))
            await watcher.say("requests", subscribe(name), subscribe(str(c), key="k"))
            await watcher.until(holds(a, b, c))
            await watcher.say("requests-2", unsubscribe(str(c)), subscribe(str(c), key="k"))
            heard = await watcher.until(holds(a, b))
            await watcher.say("requests", unsubscribe(str(a), str(b)))
            await watcher.until(holds())
            assert count("connected", heard) == 1
        async with Running(chosen):
            await watcher.say("requests", subscribe(str(b)))
            await watcher.until(holds(b))
    said = capsys.readouterr().out
    assert "NSE:NOWHERE" in said
    assert "ticks.request_refused" in said


async def test_what_the_broker_does_not_list_is_named_by_number_too(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        listed = exchange.stage.instruments[0].instrument_token
        async with Running(msgspec.structs.replace(settings, watchlist=("7", str(listed)))):
            await watcher.until(holds(7, listed))  # the broker may know better than its list
            said = await until_said(capsys, "ticks.unknown_instruments")
    (line,) = [line for line in said.splitlines() if "ticks.unknown_instruments" in line]
    assert "found=7 " in line


async def test_with_the_sandbox_everything_is_held_also_beside_requests_and_after_a_restart(
    settings: Settings, watcher: Watcher
) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        first, *rest = [each.instrument_token for each in exchange.stage.instruments]
        async with Running(settings):
            await watcher.until(holds(first, *rest))
            await watcher.say("requests", subscribe(str(rest[0])), unsubscribe(str(first)))
            await watcher.until(holds(*rest))
        async with Running(settings):
            await watcher.until(lambda heard: count("subscribed", heard) > 2 and holds(*rest)(heard))


async def test_thousands_spread_over_three_connections_and_stay_where_they_are(
    settings: Settings, watcher: Watcher
) -> None:
    async with market(settings, instruments=6_050, rate=2_000) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings):
            logs = [await watcher.until(holds_many(n), s) for n, s in zip((3_000, 3_000, 50), STREAMS, strict=True)]
            places = {token: stream for heard, stream in zip(logs, STREAMS, strict=True) for token in held(heard)}
            assert len(places) == 6_050
            for stream in STREAMS:
                await watcher.until(seen(frame=3), stream)
            gone = [held(logs[0])[7], held(logs[1])[7]]
            await watcher.say("requests", unsubscribe(*map(str, gone)))
            await watcher.until(holds_many(2_999), STREAMS[0])
            await watcher.until(holds_many(2_999), STREAMS[1])
        async with Running(settings):
            await watcher.say("requests", subscribe(*map(str, reversed(gone))))
            for number, stream in zip((3_000, 3_000, 50), STREAMS, strict=True):
                heard = await watcher.until(holds_many(number), stream)
                assert {places[token] for token in held(heard)} == {stream}


async def test_instruments_above_the_brokers_limit_are_said_and_the_others_held(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    watchlist = tuple(str(256 * number + 1) for number in range(1, 9_003))
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(msgspec.structs.replace(settings, watchlist=watchlist)):
            for stream in STREAMS:
                await watcher.until(holds_many(3_000), stream)
    assert "2 instruments above the broker's limit of 9000" in capsys.readouterr().out


async def test_without_the_dump_what_was_held_last_is_held(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        everything = [each.instrument_token for each in exchange.stage.instruments]
        async with Running(settings):
            await watcher.until(holds(*everything))
        before = count("subscribed", await watcher.all())
        deaf = msgspec.structs.replace(settings, kite_api_root="http://127.0.0.1:1")
        async with Running(deaf):
            heard = await watcher.until(lambda heard: count("subscribed", heard) > before)
    assert sorted(held(heard)) == sorted(everything)


async def test_a_hole_in_the_requests_stops_no_tick(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        async with Running(settings) as running:
            await watcher.until(seen(frame=3))
            await watcher.say("requests", subscribe("1"), subscribe("2"), subscribe("3"))
            await watcher.until(lambda heard: 3 in held(heard))
            await watcher.say("requests", subscribe("4"), subscribe("5"))
            await watcher.log._nodes.execute("requests", "XDEL", "requests", "4-0")
            heard = await watcher.all()
            await watcher.until(seen(frame=count("frame", heard) + 10))
            assert not running.task.done()


async def test_a_full_disk_holds_the_sockets_and_ends_nothing(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(settings.bahi_data_dir) as room:
        (settings.bahi_data_dir / "spool").symlink_to(room)
        async with market(settings) as exchange:
            await bring_token(settings, exchange)
            first, second = (str(each.instrument_token) for each in exchange.stage.instruments[:2])
            chosen = msgspec.structs.replace(settings, watchlist=(first,))
            async with Running(chosen) as running:
                await watcher.until(seen(frame=3))
                with filled(room):
                    await watcher.say("requests", subscribe(second))
                    await until_said(capsys, "ticks.state_not_kept")
                    assert not running.task.done()
                heard = await watcher.until(holds(int(first), int(second)))
                await watcher.until(seen(frame=count("frame", heard) + 5))
        heard = await watcher.all()
        account(settings, heard)
        assert count("connected", heard) == 1
        state = settings.bahi_data_dir / "spool" / "ticks-sandbox.subscriptions.json"
        assert second.encode() in state.read_bytes()
