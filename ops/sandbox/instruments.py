"""What is listed: Kite's instruments dump, and what the generated market must know about each instrument.

`spots.csv` lists indices and equities with Kite's own exchange tokens, and the commodities and currencies that only
have futures. contracts.py adds futures and options; synthetic equities fill up to a wished number. A token is
exchange_token * 256 + segment; where no real one is known, it is computed from the name and stays the same for ever.
"""

import csv
import datetime
import io
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from ops.sandbox import wire

SPOTS_FILE = Path(__file__).with_name("spots.csv")
COLUMNS = (
    "instrument_token", "exchange_token", "tradingsymbol", "name", "last_price", "expiry", "strike", "tick_size",
    "lot_size", "instrument_type", "segment", "exchange",
)  # fmt: skip
# Real exchange tokens lie below a million; computed ones above, so that a token stays below 2^31.
COMPUTED_FROM, COMPUTED_COUNT = 1_000_000, 7_000_000


class Spot(msgspec.Struct, frozen=True):
    """Something that has a price of its own.

    beta: part in the common factor; volatility: own noise, standard deviation of a day as a fraction;
    volume: units traded in a usual day.
    """

    exchange: str
    tradingsymbol: str
    name: str
    sector: str
    price: float
    beta: float
    volatility: float
    volume: float
    tick_size: float
    lot_size: int
    exchange_token: int | None = None
    futures: bool = False

    @property
    def key(self) -> str:
        """Give its name in the style of Kite, which also seeds its noise."""
        return f"{self.exchange}:{self.tradingsymbol}"


class Instrument(msgspec.Struct, frozen=True):
    """One row of the dump, and its `spot`: the place in the list of spots of what it is priced off."""

    instrument_token: int
    exchange_token: int
    tradingsymbol: str
    name: str
    expiry: datetime.date | None
    strike: float
    tick_size: float
    lot_size: int
    instrument_type: str
    segment: str
    exchange: str
    spot: int

    @property
    def key(self) -> str:
        """Give the name that quotes are asked by, such as NSE:INFY."""
        return f"{self.exchange}:{self.tradingsymbol}"

    @property
    def is_index(self) -> bool:
        """Tell whether its packets are those of an index."""
        return self.instrument_token & 0xFF == wire.INDEX_SEGMENT


class Tokens:
    """Hands out instrument tokens, each once."""

    def __init__(self) -> None:
        """Begin with none given."""
        self._given: set[int] = set()

    def take(self, segment: str, name: str, exchange_token: int | None = None) -> tuple[int, int]:
        """Give instrument and exchange token; computed from `name` where no exchange token is known."""
        wanted = (
            zlib.crc32(name.encode()) % COMPUTED_COUNT + COMPUTED_FROM if exchange_token is None else exchange_token
        )
        while (token := wanted * 256 + wire.SEGMENTS[segment]) in self._given:
            wanted += 1
        self._given.add(token)
        return token, wanted


def spots() -> list[Spot]:
    """Read the spots of the generated market."""
    with SPOTS_FILE.open(newline="") as file:
        return [_spot(row) for row in csv.DictReader(file)]


def _spot(row: dict[str, str]) -> Spot:
    values: dict[str, object] = {**row, "exchange_token": int(row["exchange_token"]) if row["exchange_token"] else None}
    return msgspec.convert({**values, "futures": row["futures"] == "yes"}, Spot, strict=False)


def synthetic(count: int, seed: int) -> list[Spot]:
    """Make equities that exist nowhere: SYN00001, SYN00002 ..., the same ones for the same seed."""
    random = np.random.default_rng(seed)
    sectors = sorted({spot.sector for spot in spots() if spot.exchange == "NSE"})
    return [
        Spot(
            "NSE",
            f"SYN{number:05}",
            f"SYNTHETIC {number}",
            sectors[number % len(sectors)],
            price=round(float(random.lognormal(6.2, 0.9)) + 20, 1),
            beta=float(random.uniform(0.4, 1.6)),
            volatility=float(random.uniform(0.008, 0.02)),
            volume=float(random.lognormal(13.0, 1.2)),
            tick_size=0.05,
            lot_size=1,
        )
        for number in range(1, count + 1)
    ]


def listed(spot_list: list[Spot], tokens: Tokens) -> list[Instrument]:
    """List the spots that are instruments themselves: indices and equities."""
    return [
        _listing(spot, place, tokens) for place, spot in enumerate(spot_list) if spot.exchange in ("INDICES", "NSE")
    ]


def _listing(spot: Spot, place: int, tokens: Tokens) -> Instrument:
    token, exchange_token = tokens.take(spot.exchange, spot.key, spot.exchange_token)
    index = spot.exchange == "INDICES"
    return Instrument(
        token,
        exchange_token,
        spot.tradingsymbol,
        spot.name,
        expiry=None,
        strike=0.0,
        tick_size=0.0 if index else spot.tick_size,
        lot_size=0 if index else 1,
        instrument_type="EQ",
        segment="INDICES" if index else "NSE",
        exchange="NSE",
        spot=place,
    )


def dump(instruments: Iterable[Instrument]) -> bytes:
    """Give the CSV of Kite's 12 columns; last_price is 0, as in Kite's own for what is not a derivative."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i in instruments:
        expiry = i.expiry.isoformat() if i.expiry else ""
        terms = (expiry, f"{i.strike:g}", f"{i.tick_size:g}", i.lot_size, i.instrument_type, i.segment, i.exchange)
        writer.writerow((i.instrument_token, i.exchange_token, i.tradingsymbol, i.name, 0, *terms))
    return out.getvalue().encode()
