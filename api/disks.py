"""Room on the disks, and what the writers' folders remember: looked at so that a mount that hangs holds nobody up.

A file system that does not answer, such as one of a network whose server is gone, keeps whoever asks it for as long as
it likes, and nothing can call that off. So each place is asked by a thread of its own, for which nobody waits longer
than LOOK_SECONDS_MAX, nor the process at its end; while one is kept, no other is sent after it. What did not answer, or
answered with an error, is not shown, and such a look does not count: the alert ObserverStill goes by that.
"""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from events import standing
from runtime.complaints import Complaints
from runtime.errors import SpoolMismatch, Unreachable
from runtime.log import get
from runtime.settings import Settings

LOOK_SECONDS_MAX = 5.0  # a disk answers within milliseconds, one on a network within a second

Labels = tuple[str, ...]
Answer = TypeVar("Answer")


class Room(NamedTuple):
    """Bytes of one place's disk."""

    total: int
    free: int


class Seen(msgspec.Struct):
    """What one look saw. room: by place; standings: by stream and state; is_whole: whether every place answered."""

    room: dict[str, Room] = {}
    standings: dict[Labels, float] = {}
    is_whole: bool = True


class Disks:
    """The places on disk that Bahi writes to."""

    def __init__(self, settings: Settings, seconds_max: float = LOOK_SECONDS_MAX) -> None:
        """seconds_max: how long a place may take to answer."""
        self._settings, self._seconds_max = settings, seconds_max
        self._sent: dict[str, threading.Thread] = {}
        self._complaints = Complaints(get("observer"))

    async def look(self) -> Seen:
        """Ask every place, one after another."""
        seen = Seen()
        for place, folder in _places(self._settings):
            if (room := await self._ask(place, partial(_room, folder))) is not None:
                seen.room[place] = room
            else:
                seen.is_whole = False
        spools = self._settings.bahi_data_dir / "spool"
        if (found := await self._ask("spool", lambda: dict(_standings(spools)))) is not None:
            seen.standings = found
        else:
            seen.is_whole = False
        return seen

    async def _ask(self, place: str, question: Callable[[], Answer]) -> Answer | None:
        """Give the answer; None where there is none in time, or an error, which is said once."""
        event = f"disks.{place}_unseen"
        try:
            async with asyncio.timeout(self._seconds_max):
                answer = await asyncio.wrap_future(self._send(place, question))
        except OSError as error:  # also of the time that is over
            found = f"{type(error).__name__}: {error}"
            self._complaints.say(event, wanted=f"the disk of {place} to answer", found=found, remedy="mount it again")
            return None
        self._complaints.heal(event)
        return answer

    def _send(self, place: str, question: Callable[[], Answer]) -> Future[Answer]:
        """Ask in a thread of its own. Raises TimeoutError while the one before is still kept."""
        if place in self._sent and self._sent[place].is_alive():
            raise TimeoutError("no answer yet to the question before")
        answer: Future[Answer] = Future()
        answer.set_running_or_notify_cancel()  # from here on nobody takes the question back

        def ask() -> None:
            try:
                answer.set_result(question())
            except OSError as error:
                answer.set_exception(error)

        self._sent[place] = threading.Thread(target=ask, name=f"disk of {place}", daemon=True)
        self._sent[place].start()
        return answer


def _places(settings: Settings) -> Iterator[tuple[str, Path]]:
    yield "data", settings.bahi_data_dir
    archive = urlsplit(settings.archive_url)
    if archive.scheme == "file":
        yield "archive", Path(unquote(archive.path))


def _room(folder: Path) -> Room:
    """Measure the disk on which a folder is, or will be."""
    for path in (folder, *folder.parents):
        try:
            usage = shutil.disk_usage(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        return Room(usage.total, usage.free)
    raise FileNotFoundError(f"{folder} and all above it")


def _standings(spools: Path) -> Iterator[tuple[Labels, float]]:
    """Give what the writers' folders remember of refusals and takeovers."""
    for folder in sorted(each for each in spools.iterdir() if each.is_dir()) if spools.is_dir() else []:
        try:
            found = standing.read(folder)
        except (SpoolMismatch, Unreachable):
            continue  # bahi doctor says which file that is
        if found is not None:
            yield (folder.name, found.state), 1
