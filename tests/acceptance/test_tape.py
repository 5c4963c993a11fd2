"""The recorded day of 2021-04-20: over the wire, through the real client, into rows and candles."""

import csv
import gzip
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests import accounting
from tests.stack import TICK_STREAM, Stack

DAY = Path(__file__).parents[3] / "shared" / "data" / "nse-ticks" / "2021-04-20"
IST = timezone(timedelta(hours=5, minutes=30))

INSTRUMENTS = "select tradingsymbol, instrument_token from instruments"

pytestmark = pytest.mark.skipif(not DAY.is_dir(), reason=f"the recorded day is not in {DAY}")


def plain(symbol: str) -> str:
    """Give a symbol without its punctuation, which file names spell in their own way."""
    return "".join(each for each in symbol if each.isalnum())


def rows_of(folder: Path) -> dict[str, list[tuple[int, float, int]]]:
    """Read the CSVs: symbol -> (seconds, price, volume) in the file's order."""
    found = {}
    for path in sorted(folder.glob("*.csv.gz")):
        symbol = path.name.removesuffix(".csv.gz")
        with gzip.open(path, "rt") as lines:
            found[plain(symbol)] = [
                (
                    int(datetime.fromisoformat(line["timestamp"]).replace(tzinfo=IST).timestamp()),
                    float(line["ltp"]),
                    int(line["volume"]),
                )
                for line in csv.DictReader(lines)
            ]
    return found


@pytest.mark.prove
def test_the_recorded_day_at_full_speed(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """Every row of the recorded day that was sent is stored, with its multiplicity, and the candles are right."""
    recorded = rows_of(DAY)
    total = sum(map(len, recorded.values()))
    with Stack(data_dir, SPOOL_FILE_BYTES=8 * 1024 * 1024, SPOOL_FILE_SECONDS=5, TRIM_WINDOW_SECONDS=2) as stack:
        stack.start_all("--tape", str(DAY), "--speed", "max")
        stack.wait("all rows are there", lambda: stack.query("select count(*) from ticks")[0][0] >= total, 240)
        stack.wait("candles follow", lambda: stack.query("select sum(tick_count) from candles_1m")[0][0] == total)
        tokens = {plain(symbol): token for symbol, token in stack.query(INSTRUMENTS)}
        wanted = Counter((tokens[name], *row) for name, rows in recorded.items() for row in rows)
        stored = Counter(
            stack.query("select instrument_token, extract(epoch from time)::bigint, last_price, volume from ticks")
        )
        assert stored == wanted
        ticks = [(tokens[name], s * 10**9, price, v) for name, rows in recorded.items() for s, price, v in rows]
        candles = accounting.candles_of(ticks)
        assert accounting.stored_candles(stack.database_url) == candles
        growth = {name: grown([v for _, _, v in rows]) for name, rows in recorded.items()}
        volumes = dict(stack.query("select instrument_token, sum(volume)::bigint from candles_1m group by 1"))
        assert volumes == {tokens[name]: volume for name, volume in growth.items()}
        record_property("rows", total)
        record_property("candles", len(candles))
        record_property("segments archived meanwhile", len(list((data_dir / "archive" / TICK_STREAM).glob("*.seg"))))


def grown(volumes: list[int]) -> int:
    """Return how far a day's counter rose above its first value."""
    return max(volumes) - volumes[0]
