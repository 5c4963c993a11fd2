"""The reactor: looks at the log, decides what is to be told, and has it sent, each place at its own pace.

    stream `accounts` from the checkpoint --> seen --.
    the last words of each ticker's stream ----------+--> decide --> outbox on disk --> a task a place --> Apprise

Promise: it writes nothing into the log and reads no database; whatever happens to it or to a receiver, pulls go on. A
rebuild or a replay runs none of it. Only one process tells: the one that holds the lock beside the file.

Of a ticker's stream only the tail is read: its newest beat says all that is to be known now, and thousands of frames
would be read for nothing. Of `accounts` each run counts, so it is followed from a checkpoint: from the stream's end at
the very first start, so that nothing old is told, and from there after a pause that was too long to catch up with.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from events import codec, disk
from events.accounts import STREAM, Known, SyncRun
from events.event import Recorded
from events.log import Log
from events.messages import Beat, unpack
from events.reader import Reader
from producers import market_hours
from producers.alerts.outbox import ALERTS_FILE, Outbox, Place, places
from producers.alerts.posting import NO_ADDRESS, Asked, post
from producers.alerts.seen import Moment, Terms
from producers.alerts.telling import decide
from producers.kite.address import SANDBOX
from runtime.account_metrics import ALERTS_FAILED, ALERTS_SENT, ALERTS_WAITING
from runtime.calendar import exchanges
from runtime.clock import NS_PER_SECOND, Clock
from runtime.complaints import Complaints
from runtime.errors import BadEvent, Halt, SettingError, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.settings import Settings
from runtime.staleness import STALE_INTERVALS, pulls_at

LOOK_SECONDS = 5.0  # whoever is told on a telephone does not miss five seconds
KEEP_SECONDS = 30.0  # the checkpoint alone is written this often; what is read twice after a kill counts once
BREAK_SECONDS = 60.0  # looks that lie so far apart tell of a machine that slept: nothing that happened then is known
TAIL_ENTRIES = (
    64  # there is a beat a second: of a feed that is down they all are beats, and a frame tells that it is up
)
READ_ENTRIES = 64  # of `accounts`; an entry may have half a megabyte
BEHIND_ENTRIES_MAX = 10_000  # about a day of ten accounts; all accounts are pulled at each start anyway
DRAIN_SECONDS_MAX = 4.0  # at the stop, for letters on their way; within the grace of a process
RETRY_SECONDS, RETRY_SECONDS_MAX = 5.0, 300.0  # until a place that took nothing is tried again: doubled each time

_log = get("alerts")


async def run(settings: Settings, stop: Stop, log: Log, reader: Reader, clock: Clock) -> None:
    """Tell of what is wrong until the stop; without ALERT_URLS do nothing. Raises SettingError for a wrong address."""
    if not settings.alert_urls:
        return
    to = places(settings.alert_urls)
    answers = await stop.cut(post(Asked(urls=settings.alert_urls)))
    for place, why in zip(to, answers or (), strict=False):
        if why == NO_ADDRESS:
            raise wrong_address(place)
    folder = settings.bahi_data_dir / "spool"
    handle = await _lock(folder, stop)
    if handle is None:
        return
    try:
        terms = Terms(stale=float(STALE_INTERVALS * settings.sync_interval_seconds))
        Outbox(folder / ALERTS_FILE, to)  # a broken file is said at the start
        while not stop.is_set():
            try:
                await Reactor(settings, log, reader, clock, Outbox(folder / ALERTS_FILE, to), terms).run(stop, to)
            except Exception as error:  # noqa: BLE001  # no defect in the messages may stop a pull
                _log.exception("alerts.failed", found=str(error))
                await stop.pause(RETRY_SECONDS_MAX)
    finally:
        disk.close(handle)


def wrong_address(place: Place) -> SettingError:
    """Give the error of an address that Apprise cannot read; the address itself is a secret."""
    return SettingError(
        "ALERT_URLS to be Apprise addresses, separated by commas",
        f"{place.name.split()[-1]} of them, {place.name.split()[0]}://***, which is none that Apprise knows",
        "docs/alerts.md shows some; bahi alerts test tries them",
    )


async def _lock(folder: Path, stop: Stop) -> int | None:
    """Wait until no other process tells; None where the stop comes first."""
    complaints = Complaints(_log)
    while not stop.is_set():
        await asyncio.to_thread(disk.make_folder, folder)
        handle = disk.lock(folder / "alerts.lock")
        if handle is not None:
            return handle
        complaints.say("alerts.told_by_another_process")
        await stop.pause(LOOK_SECONDS)
    return None


class Reactor:
    """One process's eyes, and its hands."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        reader: Reader,
        clock: Clock,
        outbox: Outbox,
        terms: Terms,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Go on where the outbox's file stands."""
        self._settings, self._log, self._reader, self._clock = settings, log, reader, clock
        self._outbox, self._terms, self._retry_seconds = outbox, terms, retry_seconds
        self._kept = outbox.kept
        self._tails: dict[str, int] = {}
        self._looked_ns = self._watching_ns = self._away_ns = 0
        self._was_open = self._pulled = False
        self._book, self._kept_at = b"", -KEEP_SECONDS
        self._news: dict[str, asyncio.Event] = {}
        self._complaints = Complaints(_log)

    async def run(self, stop: Stop, to: Sequence[Place]) -> None:
        """Look and send until the stop; what is on its way then is given a moment."""
        async with asyncio.TaskGroup() as tasks:
            sending = [tasks.create_task(self.send(place, stop)) for place in to]
            while not stop.is_set():
                await self.look()
                await stop.pause(LOOK_SECONDS)
            for news in self._news.values():
                news.set()
            if sending:
                await asyncio.wait(sending, timeout=DRAIN_SECONDS_MAX)
            for task in sending:
                task.cancel()
        await self._outbox.keep()

    # ---- looking ------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """See what is new, decide, and keep what was decided."""
        now_ns = self._clock.now_ns()
        try:
            await self._read_accounts()
            await self._read_feeds(now_ns)
            self._away_ns = 0
            self._complaints.heal("alerts.log_unreachable", "alerts.log_halted")
        except Unreachable as error:
            self._away_ns = self._away_ns or now_ns
            self._complaints.say("alerts.log_unreachable", found=error.found)
        except Halt as error:
            self._complaints.say("alerts.log_halted", wanted=error.wanted, found=error.found)
        letter = decide(self._kept.seen, self._kept.book, self._moment(now_ns), self._terms)
        if letter:
            self._outbox.put(letter)
            _log.info("alerts.decided", letter=letter.id, tells=letter.title)
        await self._keep()

    def _moment(self, now_ns: int) -> Moment:
        is_open, pulls = _in_market_hours(self._settings, now_ns), pulls_at(self._settings, now_ns)
        slept = not 0 <= now_ns - self._looked_ns <= BREAK_SECONDS * NS_PER_SECOND
        if slept or self._away_ns or is_open > self._was_open or pulls > self._pulled:
            self._watching_ns = now_ns
        self._looked_ns, self._was_open, self._pulled = now_ns, is_open, pulls
        return Moment(now_ns=now_ns, open=is_open, pulls=pulls, watching_ns=self._watching_ns, away_ns=self._away_ns)

    async def _read_accounts(self) -> None:
        last, _ = await self._log.last(STREAM)
        if self._kept.n < 0 or last - self._kept.n > BEHIND_ENTRIES_MAX:
            self._kept.n = last
        while self._kept.n < last:
            batch = await self._reader.read(STREAM, self._kept.n, READ_ENTRIES)
            if not batch:
                return
            for event in batch:
                self._take(event)
            self._kept.n = batch[-1].n

    def _take(self, event: Recorded) -> None:
        try:
            if event.type == "account.sync.v1":
                self._kept.seen.run(unpack(event, SyncRun))
            elif event.type == "account.known.v1":
                self._kept.seen.known(unpack(event, Known), event.at_ns)
        except BadEvent as error:
            self._complaints.say("alerts.event_unread", wanted=error.wanted, found=error.found)

    async def _read_feeds(self, now_ns: int) -> None:
        feeds = self._kept.seen.feeds
        ours = tuple(f"ticks-{broker}-" for broker in self._settings.broker)
        streams = [stream for stream in await self._log.streams() if stream.startswith(ours)]
        for gone in feeds.keys() - streams:
            del feeds[gone]
        for stream in streams:
            last, _ = await self._log.last(stream)
            if last != self._tails.get(stream):
                entries = await self._log.read(stream, max(0, last - TAIL_ENTRIES), TAIL_ENTRIES)
                self._take_tail(stream, [codec.decode(stream, entry) for entry in entries], now_ns)
                self._tails[stream] = last

    def _take_tail(self, stream: str, events: Sequence[Recorded], now_ns: int) -> None:
        """Take the newest word that tells whether the feed is up: a beat, or a message of the broker."""
        for event in reversed(events):
            if event.type == "feed.beat.v1":
                self._kept.seen.feed(stream, events[-1].at_ns, unpack(event, Beat), now_ns)
                return
            if event.type == "kite.frame.v1":
                self._kept.seen.feed(stream, events[-1].at_ns, None, now_ns)
                return

    async def _keep(self) -> None:
        """Keep what changed, and the checkpoint now and then; then wake who sends."""
        book, now = msgspec.json.encode(self._kept.book), self._clock.monotonic()
        if book != self._book or now - self._kept_at >= KEEP_SECONDS:
            await self._outbox.keep()
            self._book, self._kept_at = book, now
        for news in self._news.values():
            news.set()

    # ---- sending ------------------------------------------------------------------------------------------------

    async def send(self, place: Place, stop: Stop) -> None:
        """Send to one place what it has not got, oldest first, each until it is taken."""
        news = self._news.setdefault(place.key, asyncio.Event())
        wait_seconds = self._retry_seconds
        while not stop.is_set():
            ALERTS_WAITING.labels(place.name).set(self._outbox.waiting(place))
            letter = self._outbox.next(place)
            if letter is None:
                news.clear()
                await news.wait()
                continue
            (why,) = await post(Asked(urls=[place.url], title=letter.title, text=letter.text, good=letter.good))
            if why:
                ALERTS_FAILED.labels(place.name).inc()
                self._complaints.say("alerts.not_sent", place=place.name, found=why, remedy="bahi alerts test")
                await stop.pause(wait_seconds)
                wait_seconds = min(2 * wait_seconds, RETRY_SECONDS_MAX)
                continue
            wait_seconds = self._retry_seconds
            self._complaints.heal("alerts.not_sent")
            ALERTS_SENT.labels(place.name).inc()
            await self._outbox.taken(letter, place)
            _log.info("alerts.sent", letter=letter.id, place=place.name)


def _in_market_hours(settings: Settings, now_ns: int) -> bool:
    """Say whether any exchange is listened to; the sandbox always is, and so is a year that the calendar has not."""
    if SANDBOX in settings.broker:
        return True
    try:
        return market_hours.closed_until(exchanges(), now_ns) is None
    except SettingError:
        return True
