"""A tape from a folder of SYMBOL.csv or SYMBOL.csv.gz files.

Their columns are `timestamp` (naive IST), `ltp` and `volume` (cumulative):

    timestamp,ltp,volume
    2021-04-20 09:15:32,655.9,147828

Each row becomes one full packet with the row's time as exchange and last trade time, its price and volume, and the
open, high and low of its file so far; everything else is 0. Files are merged by time; each keeps its own order, also
where its stamps go back. Every symbol is listed as an NSE equity, under its file's name.
"""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ops.sandbox import instruments, wire
from ops.sandbox.instruments import Instrument, Spot, Tokens
from ops.sandbox.tape import Rows, Tape
from ops.sandbox.wire import Bytes, Field, Ints
from runtime.calendar import IST_SECONDS
from runtime.errors import SettingError

COLUMNS = ("timestamp", "ltp", "volume")
SECOND_NS = 1_000_000_000
UINT32_MAX = (1 << 32) - 1
# File names cannot hold every symbol; these recordings write them like this.
SPELLINGS = {"BAJAJ_AUTO": "BAJAJ-AUTO", "MM": "M&M"}
# Equities that the generated market does not list any more.
DELISTED = {"HDFC": 1330}
TICK_SIZE = 0.05


class Read(NamedTuple):
    """What was read; prices are integers of the wire, open, high and low are those of the file so far."""

    place: Ints
    seconds: Ints
    price: Ints
    volume: Ints
    open: Ints
    high: Ints
    low: Ints


def read(folder: Path) -> Tape:
    """Read all files of `folder`; raise `SettingError` with file and line where one is not as it should be."""
    files = _files(folder)
    listed = _list(list(files))
    found, due_ns = _merge([_read(path, place) for place, path in enumerate(files.values())])
    tokens = np.array([i.instrument_token for i in listed])
    lengths = np.full_like(found.place, wire.FULL_BYTES)
    rows = Rows(found.place, found.seconds, due_ns, found.price, found.volume, lengths)
    return Tape(listed, rows, lambda first, end: _drawn(Read(*(column[first:end] for column in found)), tokens))


def _drawn(part: Read, tokens: Ints) -> Bytes:
    words = np.zeros((len(part.place), wire.WORDS), np.uint32)
    words[:, Field.TOKEN] = tokens[part.place]
    words[:, Field.LTP], words[:, Field.VOLUME] = part.price, part.volume
    words[:, Field.OPEN], words[:, Field.HIGH], words[:, Field.LOW] = part.open, part.high, part.low
    words[:, Field.TIME] = words[:, Field.LAST_TRADE_TIME] = part.seconds
    return wire.rows(words)


def _files(folder: Path) -> dict[str, Path]:
    found = {p.name.removesuffix(".gz").removesuffix(".csv"): p for p in sorted(folder.glob("*.csv*"))}
    found = {symbol: path for symbol, path in found.items() if path.name.endswith((".csv", ".csv.gz"))}
    if not found:
        raise SettingError(
            f"a folder of SYMBOL.csv or SYMBOL.csv.gz files as tape in {folder}",
            "no such file" if folder.is_dir() else "no such folder",
            "give the folder that holds the recordings",
        )
    return found


def _list(symbols: list[str]) -> list[Instrument]:
    """List the symbols under their tokens on NSE where they are known, else under computed ones."""
    known = {spot.tradingsymbol: spot for spot in instruments.spots() if spot.exchange == "NSE"}
    tokens = Tokens()
    listed = {}
    # Known ones first, so that no computed token takes theirs.
    for symbol in sorted(symbols, key=lambda symbol: (_known_token(symbol, known) is None, symbol)):
        token, exchange_token = tokens.take("NSE", f"NSE:{symbol}", _known_token(symbol, known))
        spot = known.get(SPELLINGS.get(symbol, symbol))
        name = spot.name if spot else symbol.replace("_", " ")
        listed[symbol] = Instrument(
            token, exchange_token, symbol, name, None, 0.0, TICK_SIZE, 1, "EQ", "NSE", "NSE", symbols.index(symbol)
        )
    return [listed[symbol] for symbol in symbols]


def _known_token(symbol: str, known: dict[str, Spot]) -> int | None:
    spot = known.get(SPELLINGS.get(symbol, symbol))
    return spot.exchange_token if spot else DELISTED.get(symbol)


def _read(path: Path, place: int) -> Read:
    """Read one file in its own order."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise SettingError(f"a readable tape in {path}", str(error), "record or copy it again") from error
    header = tuple(name.strip() for name in lines[0].split(",")) if lines else ()
    if not set(COLUMNS) <= set(header):
        raise _wrong(path, 1, f"the columns {', '.join(COLUMNS)}", ", ".join(header) or "an empty file")
    cells = [line.split(",") for line in lines[1:] if line]
    picked = [header.index(name) for name in COLUMNS]
    try:
        stamps, prices, volumes = (np.array([row[at] for row in cells], "U40") for at in picked)
        seconds = stamps.astype("M8[s]").astype(np.int64) - IST_SECONDS
        with np.errstate(invalid="ignore"):  # what is no number becomes a negative one, which is refused below
            price = np.rint(prices.astype(np.float64) * wire.DIVISOR).astype(np.int64)
            volume = np.rint(volumes.astype(np.float64)).astype(np.int64)
    except (ValueError, IndexError) as error:
        raise _wrong(path, _bad_line(lines, picked), "timestamp, ltp and volume", str(error)) from error
    outside = (price < 0) | (price > UINT32_MAX) | (volume < 0) | (volume > UINT32_MAX) | (seconds < 0)
    if outside.any():
        line = int(np.flatnonzero(outside)[0]) + 2
        raise _wrong(path, line, "values that a packet can carry (unsigned, 32 bits)", lines[line - 1])
    high, low = (np.maximum.accumulate(price), np.minimum.accumulate(price)) if len(price) else (price, price)
    return Read(np.full_like(price, place), seconds, price, volume, np.full_like(price, price[:1].sum()), high, low)


def _bad_line(lines: list[str], picked: list[int]) -> int:
    """Find the first line that cannot be read."""
    for number, line in enumerate(lines[1:], 2):
        try:
            stamp, price, volume = (line.split(",")[at] for at in picked)
            np.datetime64(stamp, "s")
            float(price), float(volume)
        except (ValueError, IndexError):
            return number
    return len(lines)


def _merge(files: list[Read]) -> tuple[Read, Ints]:
    """Merge by time: a stable sort by each file's highest stamp so far is what a merge of the files' heads gives."""
    columns = Read(*(np.concatenate(column) for column in zip(*files, strict=True)))
    due = np.concatenate([np.maximum.accumulate(file.seconds) if len(file.seconds) else file.seconds for file in files])
    order = np.argsort(due, kind="stable")
    return Read(*(column[order] for column in columns)), due[order] * SECOND_NS


def _wrong(path: Path, line: int, wanted: str, found: str) -> SettingError:
    return SettingError(f"{wanted} in line {line} of {path}", found, "mend the line or leave the file out")
