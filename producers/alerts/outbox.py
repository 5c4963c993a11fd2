"""What the reactor keeps, in one file: how far it read, what it saw, what it told, and the letters not yet delivered.

    decided, in memory --keep--> on the disk: may be sent --taken--> taken off, in memory --keep--> gone for good

One file, written whole: a letter is on the disk in the same moment as the checkpoint behind the events that it tells
of, and as the note that its subjects were told. So no kill loses one, and none is decided twice. A letter is sent only
from the disk, and taken off after its receiver took it. Killed just between these two, or with the receiver's answer
lost on the way, the next start sends it once more, under the same id: the one case in which a letter comes twice.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from events import disk
from producers.alerts.seen import Seen
from producers.alerts.telling import Book, Letter
from runtime.complaints import Complaints
from runtime.errors import SettingError, Unreachable
from runtime.log import get

ALERTS_FILE = "alerts.json"  # beside the spools
LETTERS_MAX = 50  # not delivered yet: beyond it the oldest goes, for what is told newest counts most
SCHEME = re.compile(r"[A-Za-z0-9]{1,20}(?=://)")
KEY_CHARACTERS = 12  # of the address' hash: it tells one address from another and gives none away

_log = get("alerts")


class Place(msgspec.Struct, frozen=True):
    """Where letters go. url: a secret. key: it stands for the address on the disk. name: for people and metrics."""

    url: str
    key: str
    name: str

    def __repr__(self) -> str:
        """Show no address."""
        return f"Place({self.name!r})"


def places(urls: Sequence[str]) -> list[Place]:
    """Give the places of ALERT_URLS, each named by the service and its number: `tgram 1`."""
    found = []
    for number, url in enumerate(urls, start=1):
        scheme = SCHEME.match(url)
        key = hashlib.sha256(url.encode()).hexdigest()[:KEY_CHARACTERS]
        found.append(Place(url, key, f"{scheme[0].lower() if scheme else 'address'} {number}"))
    return found


class Kept(msgspec.Struct):
    """The file's content. n: the last event of `accounts` that was read, below 0 before the first start."""

    n: int = -1
    seen: Seen = msgspec.field(default_factory=Seen)
    book: Book = msgspec.field(default_factory=Book)
    letters: list[Letter] = []


class Outbox:
    """The file, and what may be sent from it."""

    def __init__(self, path: Path, places: Sequence[Place]) -> None:
        """Read it; letters to places that are none any more are dropped. Raises SettingError for a broken one."""
        self._path, self._places = path, [place.key for place in places]
        self.kept = _load(path)
        self.kept.book.mark = self.kept.book.mark or secrets.token_hex(4)
        for letter in self.kept.letters:
            letter.waiting = [key for key in letter.waiting if key in self._places]
        self._tidy()
        self._on_disk = self.kept.book.letters
        self._writing = asyncio.Lock()
        self._complaints = Complaints(_log)

    def put(self, letter: Letter) -> None:
        """Take a letter to all places; `next` gives it once it is kept."""
        letter.waiting = list(self._places)
        self.kept.letters.append(letter)
        if dropped := self.kept.letters[:-LETTERS_MAX]:
            del self.kept.letters[:-LETTERS_MAX]
            _log.error("alerts.dropped", letters=[each.id for each in dropped], remedy="bahi alerts test")

    def next(self, place: Place) -> Letter | None:
        """Give the oldest letter that is on the disk and that a place has not got yet."""
        for letter in self.kept.letters:
            if place.key in letter.waiting and letter.number <= self._on_disk:
                return letter
        return None

    async def taken(self, letter: Letter, place: Place) -> None:
        """Note that a place has a letter."""
        letter.waiting.remove(place.key)
        self._tidy()
        await self.keep()

    async def keep(self) -> None:
        """Bring all of it to the disk; on a full one it is tried again with the next change, and nothing is sent."""
        async with self._writing:
            body, number = msgspec.json.encode(self.kept), self.kept.book.letters
            try:
                await asyncio.to_thread(_write, self._path, body)
            except Unreachable as error:
                self._complaints.say("alerts.state_not_kept", wanted=error.wanted, found=error.found)
            else:
                self._complaints.heal("alerts.state_not_kept")
                self._on_disk = number

    def waiting(self, place: Place) -> int:
        """Count the letters that a place has not got yet."""
        return sum(place.key in letter.waiting for letter in self.kept.letters)

    def _tidy(self) -> None:
        self.kept.letters = [letter for letter in self.kept.letters if letter.waiting]


def _load(path: Path) -> Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except msgspec.DecodeError as error:
        raise SettingError(
            f"what was told, in {path}", str(error), "delete it: what is wrong then is told once more"
        ) from error


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.create(path, body)
