"""`bahi archive`: an archiver for each stream that has a spool here, each at its own pace.

Streams do not wait for each other: what is wrong with one is said again and again, and the others go on. Only one file
is in memory at a time.
"""

import asyncio
from pathlib import Path

from events.archive import Archive
from events.archiver import Archiver, Round, Window
from events.redis_log import RedisLog
from runtime import metrics
from runtime.complaints import Complaints
from runtime.errors import Halt, SettingError, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.settings import Settings
from runtime.waiting import Backoff

ROUND_SECONDS = 1.0  # a closed file is in the archive within about this; looking costs a listing and two Redis calls
STOP_SECONDS = 2.0  # a round on a disk is over by then; an upload may take minutes
HALTED_SECONDS = 30.0  # what needs a person is looked at and said again this often: he may have mended it

_log = get("archive")


async def run(settings: Settings, stop: Stop) -> None:
    """Archive and trim all streams under <data>/spool, those that come later too, until the stop."""
    if settings.redis_url is None:
        raise SettingError("REDIS_URL", "it is not set", "run bahi up, or set it")
    log = RedisLog.connect(settings.redis_url)
    archive = Archive.at(settings)
    window = Window(settings.trim_window_bytes, settings.trim_window_seconds)
    turn = asyncio.Semaphore(1)
    tended: set[Path] = set()
    async with asyncio.TaskGroup() as tasks:
        while not stop.is_set():
            for folder in await asyncio.to_thread(_folders, settings.bahi_data_dir / "spool"):
                if folder not in tended:
                    tended.add(folder)
                    tasks.create_task(_Tender(folder, log, archive, window, turn).run(stop))
            await stop.pause(ROUND_SECONDS)
    await log.close()


def _folders(spools: Path) -> list[Path]:
    return sorted(path for path in spools.iterdir() if path.is_dir()) if spools.is_dir() else []


class _Tender:
    """One stream's loop."""

    def __init__(self, folder: Path, log: RedisLog, archive: Archive, window: Window, turn: asyncio.Semaphore) -> None:
        self._stream = folder.name
        self._complaints = Complaints(_log.bind(stream=folder.name))
        self._archiver = Archiver(folder, log, archive, window, turn)
        self._backoff = Backoff()

    async def run(self, stop: Stop) -> None:
        """Do rounds until the stop. One that waits for a server then is cut off: the next start mends it."""
        rounds, asked = asyncio.create_task(self._rounds(stop)), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((rounds, asked), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((rounds,), timeout=STOP_SECONDS)
        finally:
            asked.cancel()
            rounds.cancel()
            await asyncio.wait((rounds,))
        if not rounds.cancelled():
            rounds.result()

    async def _rounds(self, stop: Stop) -> None:
        while not stop.is_set():
            await stop.pause(await self._round())

    async def _round(self) -> float:
        """Do a round, or say why not; give the seconds to the next one."""
        try:
            done = await self._archiver.round()
        except Unreachable as error:
            said = {"wanted": error.wanted, "found": error.found, "remedy": error.remedy}
            self._complaints.say_late("archive.waits", "archive.waits_for_its_turn", **said)
            return self._backoff.next_seconds()
        except Halt as error:
            _log.error(
                "archive.halted", stream=self._stream, wanted=error.wanted, found=error.found, remedy=error.remedy
            )
            return HALTED_SECONDS
        self._complaints.heal("archive.waits", "archive.waits_for_its_turn")
        self._backoff.reset()
        self._tell(done)
        return 0.0 if done.more else ROUND_SECONDS

    def _tell(self, done: Round) -> None:
        metrics.ARCHIVE_N.labels(self._stream).set(done.archived)
        metrics.ARCHIVE_TRIMMED_N.labels(self._stream).set(done.kept_from)
        if done.segment is not None:
            metrics.ARCHIVE_SEGMENTS.labels(self._stream).inc()
            metrics.ARCHIVE_BYTES.labels(self._stream).inc(done.segment.packed)
            _log.info("archive.copied", stream=self._stream, first=done.segment.first, last=done.segment.last)
