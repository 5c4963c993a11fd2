"""What happened to the books, entry by entry, in a file a day; a restart reads it again.

    <data>/sandbox/books/2026-04-13.jsonl     one JSON object a line; it begins with an `opening` of every user

An entry counts when its line is written. A line that a kill cut short never counted: nobody was told of it.
"""

import os
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec

from ops.sandbox.accounts.gtt import Trigger
from ops.sandbox.accounts.order import Terms
from runtime.errors import Unreachable


class Carried(msgspec.Struct, frozen=True):
    """A position that stayed overnight. average_price: of what was bought or sold; close_price: it was settled at."""

    exchange: str
    tradingsymbol: str
    instrument_token: int
    product: str
    quantity: int
    average_price: Decimal
    close_price: Decimal


class Held(msgspec.Struct, frozen=True):
    """Shares in the depository. t1_quantity: bought the day before, and not delivered yet."""

    exchange: str
    tradingsymbol: str
    instrument_token: int
    quantity: int
    t1_quantity: int
    average_price: Decimal
    close_price: Decimal


class Entry(msgspec.Struct, frozen=True, tag_field="kind"):
    """Something that happened to one user's book. at_ns: UTC."""

    user: str
    at_ns: int


class Opening(Entry, frozen=True, tag="opening"):
    """The day begins with so much cash, these positions and shares, and these GTTs that wait."""

    day: date
    cash: Decimal
    carried: list[Carried] = []
    held: list[Held] = []
    triggers: list[Trigger] = []


class Placed(Entry, frozen=True, tag="placed"):
    """An order was received. app: the api_key that placed it, none for the broker itself."""

    order_id: str
    exchange_order_id: str
    terms: Terms
    app: str = ""


class Entered(Entry, frozen=True, tag="entered"):
    """An order came into a state."""

    order_id: str
    status: str
    message: str = ""


class Amended(Entry, frozen=True, tag="amended"):
    """An order has other terms from now on."""

    order_id: str
    terms: Terms


class Triggered(Entry, frozen=True, tag="triggered"):
    """A stop order has come alive."""

    order_id: str


class Filled(Entry, frozen=True, tag="filled"):
    """A part of an order, or the rest of it, was traded."""

    order_id: str
    trade_id: str
    quantity: int
    price: Decimal


class Converted(Entry, frozen=True, tag="converted"):
    """A part of a position has another product from now on. quantity: negative when short; value: of the part moved."""

    exchange: str
    tradingsymbol: str
    instrument_token: int
    old_product: str
    new_product: str
    is_overnight: bool
    quantity: int
    value: Decimal


class Kept(Entry, frozen=True, tag="kept"):
    """A GTT is like this from now on."""

    trigger: Trigger


AnyEntry = Converted | Kept | Opening | Placed | Entered | Amended | Triggered | Filled
_decoder = msgspec.json.Decoder(AnyEntry)


class Ledger:
    """The file of one day, open for more."""

    def __init__(self, folder: Path, day: date) -> None:
        """Go on behind the last whole line."""
        self.day, self._folder = day, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(_path(folder, day), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = os.fstat(self._file).st_size
        content = os.pread(self._file, size, 0)
        if (whole := content.rfind(b"\n") + 1) < size:
            os.ftruncate(self._file, whole)
        self._waiting = bytearray()

    def note(self, *entries: AnyEntry) -> None:
        """Have entries written with the next flush."""
        self._waiting += b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)

    def flush(self) -> None:
        """Write what was noted, all in one go; what the disk refuses waits for the next time. Raises Unreachable."""
        try:
            while self._waiting:
                del self._waiting[: os.write(self._file, self._waiting)]
        except OSError as error:
            raise Unreachable(
                f"room for the sandbox's books in {self._folder}", str(error), "free the disk or mend its rights"
            ) from error

    def close(self) -> None:
        """Write no more; it may be said twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def days(folder: Path) -> list[date]:
    """Give the days that have a ledger, the newest one last."""
    return sorted(date.fromisoformat(path.stem) for path in folder.glob("*.jsonl"))


def newest_day(folder: Path) -> date | None:
    """Give the last day that has a ledger; None where there is none."""
    return max(days(folder), default=None)


def read(folder: Path, day: date) -> Iterator[AnyEntry]:
    """Give the entries of a day."""
    with _path(folder, day).open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _decoder.decode(line)


def _path(folder: Path, day: date) -> Path:
    return folder / f"{day.isoformat()}.jsonl"
