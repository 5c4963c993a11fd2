"""A replay to clients of Kite: a sandbox exchange that plays a span of the log, message by message.

The span is read twice: once for the instruments that are in it, which a client must be able to ask for before they
tick, and once while it is played. So it may be of any length. The sandbox has a folder of its own in the data
directory: what it sends is not what the sandbox of `bahi up` has sent, of which `bahi verify` gives an account.
"""

from collections.abc import Callable

import msgspec

from events.decode import decode
from ops.replay.merged import Merged
from ops.replay.play import Play
from ops.sandbox import server
from ops.sandbox.recording import Recording, Screening
from ops.sandbox.server import Exchange, Options
from runtime.errors import BadInput
from runtime.settings import Settings

FOLDER = "replay"
LOOK_EVENTS = 1024  # at once, while it is looked through


class Seen(msgspec.Struct):
    """What is in a span: tokens of instruments, packets in all, events, and when its first frame was received."""

    tokens: set[int] = set()
    packets: int = 0
    events: int = 0
    at_ns: int = 0


async def run(settings: Settings, port: int, make_merged: Callable[[], Merged], play: Play) -> int:
    """Be the exchange until the stop; give how many events were played. Raises SettingError, BadInput."""
    play.watcher.phase("looking through it")
    merged = make_merged()
    try:
        seen = await _seen(merged, play)
    finally:
        await merged.close()
    if play.stop.is_set():
        return 0
    if not seen.packets:
        remedy = "give a span of a ticks-... stream in which something was received"
        raise BadInput("frames of Kite with ticks", f"none in {seen.events:,} events", remedy)

    async def perform(screening: Screening) -> None:
        play.watcher.phase("playing")
        await play.to(screening)
        play.watcher.say("all is played; clients stay connected until Ctrl-C")

    recording = Recording(sorted(seen.tokens), seen.packets, seen.at_ns, perform)
    async with Exchange(_options(settings, port, recording)) as exchange:
        play.watcher.say(
            f"http://{server.HOST}:{exchange.port} and ws://{server.HOST}:{exchange.port} speak Kite Connect"
        )
        await server.until(play.stop, exchange)
    return play.merged.given


def _options(settings: Settings, port: int, recording: Recording) -> Options:
    return Options(
        folder=settings.bahi_data_dir / FOLDER,
        port=port,
        limits=settings.bahi_sandbox_limits,
        recording=recording,
        redirect_url=f"http://{settings.api_host}:{settings.api_port}/",
    )


async def _seen(merged: Merged, play: Play) -> Seen:
    """Look through a span."""
    seen = Seen()
    while batch := await merged.take(None, LOOK_EVENTS):
        ticks = decode(batch).ticks
        if len(ticks):
            seen.tokens.update(ticks["instrument_token"].tolist())
            seen.packets += len(ticks)
            seen.at_ns = seen.at_ns or int(ticks["at_ns"][0])
        seen.events += len(batch)
        play.watcher.moved(seen.events, merged.total)
    return seen
