"""`bahi ticks`: the tick producer of each broker in BROKER; now those that speak Kite.

    requests, WATCHLIST -> subscriptions -> connections (one stream, one writer each) -> handover -> spool -> Redis

Neither Redis nor PostgreSQL is needed once a stream exists: ticks go on into the spool.
"""

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from events.archive import Archive
from events.event import Recorded
from events.messages import Beat, Gap, Lost, unpack
from events.reader import Reader
from events.redis_log import RedisLog
from events.spool import Spool
from events.tail import backwards
from events.takeover import Fence
from events.writer import Writer
from producers import market_hours, requests, subscriptions
from producers.handover import Handover
from producers.kite import reactor
from producers.kite.address import SANDBOX, Address, Tokens, reachable
from producers.kite.connection import DEFAULT_BOUNDS, Bounds, Connection
from producers.kite.hours import DUMP_TIME, business_day
from producers.kite.master import Master, is_token
from producers.kite.rest import Rest
from producers.market_hours import exchange_of
from producers.subscriptions import Wanted
from runtime.calendar import IST, trading_day
from runtime.clock import NS_PER_SECOND, Clock, SystemClock
from runtime.complaints import Complaints
from runtime.errors import BadInput, Halt, SettingError, TokenRefused, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.settings import Settings

LOOK_SECONDS = 0.5  # how often requests and the vault are looked at
BEAT_SECONDS = 1.0  # what the log calls a beat
MASTER_SECONDS_MIN = 60.0  # an unknown name asks for the dump again, at most this often
MASTER_RETRY_SECONDS = 2.0  # while there is no dump at all
NAMED_MAX = 20  # unknown instruments that a warning names; the rest is counted
DRAIN_SECONDS_MAX = 3.0  # at the stop, for what is handed over to reach the disk

_log = get("ticks")


class Line:
    """One connection with its stream, writer and handover."""

    def __init__(self, connection: Connection, writer: Writer, handover: Handover) -> None:
        """Made by `Ticker._open_line`."""
        self.connection, self.writer, self.handover = connection, writer, handover
        self.beating = reactor.Metronome(connection.beat)
        self.rests_until = 0  # while the markets are closed (UTC epoch ns)

    async def pump(self) -> None:
        """Bring what is handed over to the disk, for ever."""
        while True:
            events = await self.handover.take()
            await self.writer.append(events)
            self.handover.done(events)


class Ticker:
    """All connections of one broker."""

    def __init__(
        self,
        settings: Settings,
        where: Address,
        fence: Fence,
        bounds: Bounds = DEFAULT_BOUNDS,
        clock: Clock | None = None,
    ) -> None:
        """Nothing is opened before `run`."""
        if settings.redis_url is None:
            raise SettingError("REDIS_URL", "none", "run bahi up, or set it")
        self._settings, self._where, self._fence, self._bounds = settings, where, fence, bounds
        self._spools = settings.bahi_data_dir / "spool"
        self._redis = RedisLog.connect(settings.redis_url)
        self._archive = Archive.at(settings)
        self._reader = Reader(self._redis, self._archive)
        self._clock = clock or SystemClock()
        self._tokens = Tokens(settings, where.broker, self._clock)
        self._path = self._spools / f"ticks-{where.broker}.subscriptions.json"
        self._wanted = requests.load(self._path, Wanted)
        self._kept = b""
        self._run = uuid.uuid4().hex[:12]
        self._lines: dict[int, Line] = {}
        self._master: Master | None = None
        self._master_at = -MASTER_SECONDS_MIN
        self._master_day = ""  # the business day of the dump, ISO
        self._learning: asyncio.Task[None] | None = None
        self._complaints = Complaints(_log.bind(broker=where.broker), self._clock)

    async def run(self, stop: Stop) -> None:
        """Take ticks until the stop."""
        reactor.start()
        async with asyncio.TaskGroup() as tasks:
            work: list[asyncio.Task[None]] = []
            await stop.cut(self._open_line(1, tasks, work))  # a new stream waits until all stores have answered
            while not stop.is_set():
                await stop.cut(self._look(tasks, work))
                await stop.pause(LOOK_SECONDS)
            await self._end()
            for task in (*work, *filter(None, [self._learning])):
                task.cancel()
        for line in self._lines.values():
            await line.writer.close()
        await self._redis.close()

    # ---- connections -------------------------------------------------------------------------------------------

    async def _open_line(self, number: int, tasks: asyncio.TaskGroup, work: list[asyncio.Task[None]]) -> None:
        stream = f"ticks-{self._where.broker}-{number}"
        folder = self._spools / stream
        limits = {"roll_bytes": self._settings.spool_file_bytes, "roll_seconds": self._settings.spool_file_seconds}
        spool = Spool(folder, stream)
        writer = await Writer.open(spool, self._redis, self._archive, self._clock, self._fence, **limits)
        connection = Connection(self._where, stream, self._settings.tick_mode, self._run, self._clock, self._bounds)
        loop, room = asyncio.get_running_loop(), self._bounds.waiting_bytes
        handover = Handover(loop, connection.hold, lambda: reactor.call(connection.let), room)
        connection.handover = handover
        line = self._lines[number] = Line(connection, writer, handover)
        last_message_ns, gap = await _where_it_ended(folder, stream, self._archive)
        work += [tasks.create_task(writer.run()), tasks.create_task(line.pump())]
        reactor.call(connection.take_up, last_message_ns, gap)
        line.beating.start(BEAT_SECONDS)

    async def _end(self) -> None:
        """Close the sockets, declare what is not received from here on, and bring all of it to disk and log."""
        for line in self._lines.values():
            line.beating.stop()
            reactor.call(line.connection.close)
            reactor.call(line.connection.beat)
        await reactor.settled()
        try:
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await asyncio.gather(*(line.handover.emptied() for line in self._lines.values()))
        except TimeoutError:
            _log.warning(
                "ticks.not_drained", waiting_bytes=sum(each.handover.waiting_bytes for each in self._lines.values())
            )
        await asyncio.gather(*(line.writer.drained() for line in self._lines.values()))

    # ---- what is wanted ----------------------------------------------------------------------------------------

    async def _look(self, tasks: asyncio.TaskGroup, work: list[asyncio.Task[None]]) -> None:
        """Follow requests, the vault and the dump; give each connection what it should hold."""
        await self._follow()
        closed_until = self._closed_until()
        if not closed_until and (self._learning is None or self._learning.done()):  # beside: REST may be slow
            self._learning = tasks.create_task(self._learn())
        today = trading_day(self._clock.now_ns())
        places, left_out = subscriptions.assign(self._wanted, self._chosen(), today)
        if left_out:
            limit = subscriptions.CONNECTIONS_MAX * subscriptions.CONNECTION_INSTRUMENTS_MAX
            self._complaints.say(
                "ticks.too_many", found=f"{len(left_out)} instruments above the broker's limit of {limit}"
            )
        else:
            self._complaints.heal("ticks.too_many")
        await self._keep()
        for number in sorted({*places, *self._lines}):
            if number not in self._lines:
                await self._open_line(number, tasks, work)
            reactor.call(self._lines[number].connection.subscribe, places.get(number, []))
        for line in self._lines.values():
            if closed_until:
                self._rest(line, closed_until)
            else:
                line.rests_until = 0
                self._connect(line)
        if all(line.connection.token for line in self._lines.values()):
            self._complaints.heal("ticks.waits_for_token", "ticks.waits_for_login")

    def _closed_until(self) -> int:
        """Give until when (UTC epoch ns) the broker is left alone, 0 where it is not."""
        if not self._settings.market_hours_only or self._where.broker == SANDBOX:
            return 0
        try:
            found = market_hours.closed_until(set(map(exchange_of, self._names())), self._clock.now_ns())
        except SettingError as error:  # of a day that nobody knows anything about, nothing must be missed
            self._complaints.say("ticks.no_calendar", wanted=error.wanted, found=error.found, remedy=error.remedy)
            return 0
        self._complaints.heal("ticks.no_calendar")
        return found or 0

    def _rest(self, line: Line, until_ns: int) -> None:
        connection = line.connection
        if line.rests_until == until_ns and not connection.token:
            return
        until = f"{datetime.fromtimestamp(until_ns / NS_PER_SECOND, IST):%Y-%m-%d %H:%M} IST"
        _log.info("ticks.markets_closed", stream=connection.stream, until=until)
        line.rests_until, connection.refused, connection.token = until_ns, False, ""
        reactor.call(connection.rest, until)

    def _connect(self, line: Line) -> None:
        connection = line.connection
        if connection.refused:
            self._tokens.refuse(connection.token)
            connection.refused, connection.token = False, ""
        if connection.token:
            return
        try:
            token = self._tokens.current()
        except TokenRefused as error:
            self._say_tokenless(error)
            return
        connection.token = token
        reactor.call(connection.open, token)

    def _say_tokenless(self, error: TokenRefused) -> None:
        """Say that a token is missing; at a start the login may be on its way, unless one was refused already."""
        said = {"wanted": error.wanted, "found": error.found, "remedy": error.remedy}
        if self._tokens.has_refused:
            self._complaints.say("ticks.waits_for_token", **said)
        else:
            self._complaints.say_late("ticks.waits_for_token", "ticks.waits_for_login", **said)

    async def _follow(self) -> None:
        try:
            found = await requests.follow(self._reader, self._wanted)
        except Unreachable as error:
            self._complaints.say("ticks.requests_unreachable", found=error.found)
            return
        except Halt as error:  # ticks flow on without requests
            self._complaints.say("ticks.requests_halted", wanted=error.wanted, found=error.found, remedy=error.remedy)
            return
        self._complaints.heal("ticks.requests_unreachable", "ticks.requests_halted")
        for refused in subscriptions.fold(self._wanted, found):
            self._complaints.say("ticks.request_refused", wanted=refused.wanted, found=refused.found)

    async def _keep(self) -> None:
        """Keep what is wanted, where it is otherwise than what was kept; a full disk stops no tick."""
        state = msgspec.json.encode(self._wanted)
        if state == self._kept:
            return
        try:
            await asyncio.to_thread(requests.keep, self._path, self._wanted)
        except Unreachable as error:
            self._complaints.say("ticks.state_not_kept", wanted=error.wanted, found=error.found, remedy=error.remedy)
        else:
            self._kept = state
            self._complaints.heal("ticks.state_not_kept")

    async def _learn(self) -> None:
        """Get the broker's dump: once a day, and where a name is not known from it; say what is not listed there."""
        now = datetime.fromtimestamp(self._clock.now_ns() / NS_PER_SECOND, UTC)
        day = business_day(now, DUMP_TIME).isoformat()
        fresh = self._master is not None and self._master_day == day and not self._unknown()
        waited = self._clock.monotonic() - self._master_at
        wait = MASTER_SECONDS_MIN if self._master else MASTER_RETRY_SECONDS
        if fresh or not (self._wants_everything() or self._names()) or waited < wait:
            return
        self._master_at = self._clock.monotonic()
        try:
            token = self._tokens.current()
            self._master, self._master_day = await asyncio.to_thread(self._pull_master, token), day
            self._complaints.heal("ticks.waits_for_instruments", "ticks.asks_again_for_instruments")
        except TokenRefused as error:
            self._say_tokenless(error)
        except (Unreachable, BadInput) as error:
            said = {"wanted": error.wanted, "found": error.found}
            self._complaints.say_late("ticks.waits_for_instruments", "ticks.asks_again_for_instruments", **said)
        if self._master and (unlisted := [name for name in self._names() if not self._is_listed(name)]):
            more = f" and {len(unlisted) - NAMED_MAX} more" if len(unlisted) > NAMED_MAX else ""
            self._complaints.say(
                "ticks.unknown_instruments",
                found=", ".join(unlisted[:NAMED_MAX]) + more,
                remedy="mend WATCHLIST, or look it up: GET /api/instruments?search=",
            )
        else:
            self._complaints.heal("ticks.unknown_instruments")

    def _pull_master(self, token: str) -> Master:
        return Master(Rest(self._where, token).instruments())

    def _wants_everything(self) -> bool:
        return self._where.broker == SANDBOX and not self._settings.watchlist

    def _needs_master(self) -> bool:
        return self._wants_everything() or not all(is_token(name) for name in self._names())

    def _names(self) -> list[str]:
        return [*self._settings.watchlist, *(name for name, asked in self._wanted.said.items() if asked)]

    def _unknown(self) -> list[str]:
        return [name for name in self._names() if self._token(name) is None]

    def _chosen(self) -> list[int]:
        at_first = list(self._settings.watchlist)
        if self._master is None and self._needs_master():  # until the dump is there: what was held last
            at_first += map(str, self._wanted.held)
        elif self._wants_everything() and self._master is not None:
            at_first += map(str, self._master.all_tokens())
        return subscriptions.chosen(self._wanted, at_first, self._token)

    def _is_listed(self, name: str) -> bool:
        """Say whether the dump has an instrument; a number that it has not is held all the same."""
        token = self._token(name)
        return token is not None and self._master is not None and self._master.has(token)

    def _token(self, name: str) -> int | None:
        if is_token(name):
            return int(name)
        return self._master.token(name) if self._master else None


async def _where_it_ended(folder: Path, stream: str, archive: Archive) -> tuple[int, Lost | None]:
    """Give the receive time of the last message in the log, and the loss that is still open there."""
    events: list[Recorded] = []
    async for piece in backwards(folder, stream, archive):
        events = piece + events
        if any(event.type == "feed.beat.v1" for event in piece):
            break
    last_ns, gap = 0, None
    for event in events:
        if event.type == "feed.beat.v1":
            beat = unpack(event, Beat)
            last_ns = max(last_ns, beat.last_message_ns)
            if gap is None and beat.gap_from_ns is not None:  # its beginning lies further back
                gap = Lost(from_ns=beat.gap_from_ns, reason="lost before")
        elif event.type in ("kite.frame.v1", "kite.text.v1"):
            last_ns = max(last_ns, event.at_ns)
        elif event.type == "feed.connected.v1":
            last_ns = last_ns or event.at_ns
        elif event.type == "feed.lost.v1":
            gap = unpack(event, Lost)
        elif event.type == "feed.gap.v1":
            gap, last_ns = None, unpack(event, Gap).to_ns
    return last_ns, gap


async def run(
    settings: Settings, stop: Stop, fence: Fence, bounds: Bounds = DEFAULT_BOUNDS, clock: Clock | None = None
) -> None:
    """Run the ticker of the first broker in BROKER until the stop.

    fence: raises the epochs of all projectors of a stream that is taken over, and tells how far each has come.
    """
    where = await reachable(settings, stop)
    if where is not None:
        await Ticker(settings, where, fence, bounds, clock).run(stop)
