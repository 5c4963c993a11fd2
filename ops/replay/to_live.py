"""A replay to live clients: the API's own hub, door and tick socket, on another port, fed from a span of the log.

It begins when so many clients have subscribed, and stands still while nobody has. No tick is skipped: it goes at the
pace of its slowest client, and says so. One that takes nothing for `viewer.SEND_SECONDS_MAX` is cut off; it comes back
with its cursor as to the API. It ends when all is played and every client has all of it.
"""

import asyncio
from collections.abc import Sequence

from api import parts as parts_module
from api.app import REPLAY_ROUTES, create_app
from api.door import SOCKET_PATH
from api.live import Live
from api.server import listen, load_key, reload_keys
from events.event import Recorded
from events.log import Log
from events.span import Span
from ops.replay.play import Play
from runtime import port
from runtime.settings import Settings


class Clients:
    """The hub's clients, as who is played to."""

    def __init__(self, live: Live, wanted: int) -> None:
        """wanted: so many have to be there before it begins; then one is enough."""
        self._live, self._wanted = live, wanted

    async def gathered(self) -> bool:
        """Wait for clients that have subscribed something; say whether they had to be waited for."""
        waited = await self._live.gathered(self._wanted)
        self._wanted = 1
        return waited

    async def show(self, batch: Sequence[Recorded]) -> None:
        """Give events to the hub, and wait until all clients have got theirs."""
        self._live.take(list(batch))
        await self._live.taken()


async def run(settings: Settings, log: Log, spans: Sequence[Span], play: Play, wanted: int) -> int:
    """Serve the spans on settings.api_port until all is played, or the stop; give how many events were played.

    wanted: clients that have to be there before it begins. Raises SettingError for a port that is taken.
    """
    port.refuse_taken("--port", settings.api_host, settings.api_port)
    parts = parts_module.make(settings, log)
    await load_key(parts)
    await parts.live.take_up({span.stream: span.first - 1 for span in spans})
    ended = asyncio.Event()
    serving = asyncio.ensure_future(listen(create_app(parts, REPLAY_ROUTES), parts, ended))
    playing = asyncio.ensure_future(_play(play, parts.live, wanted))
    keys = asyncio.ensure_future(reload_keys(parts))
    play.watcher.phase("playing")
    play.watcher.say(f"ws://{settings.api_host}:{settings.api_port}{SOCKET_PATH} begins when a client has subscribed")
    try:
        await asyncio.wait({serving, playing}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        return await playing
    finally:
        playing.cancel()
        keys.cancel()
        ended.set()
        await asyncio.gather(serving, playing, keys, return_exceptions=True)


async def _play(play: Play, live: Live, wanted: int) -> int:
    done = await play.to(Clients(live, wanted))
    await play.stop.cut(live.taken())
    return done
