"""A parser's bug that was live for a while: the past is repaired from the raw frames, and nobody who reads notices."""

import json
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import accounting
from tests.acceptance.test_exactly_once import SETTINGS, flowing, further, settle, tell
from tests.patience import PATIENCE_SECONDS
from tests.stack import TICK_STREAM, Stack

BUGGY = """
import projectors.candles, projectors.ticks
from ops import cli
good = projectors.ticks.decode
def decode(batch):
    # The last price is read where the last quantity stands, four bytes further.
    decoded = good(batch)
    decoded.ticks["last_price"] = decoded.ticks["last_quantity"] / 100
    return decoded
projectors.candles.decode = projectors.ticks.decode = decode
cli.main()
"""

PATHS = (
    "/api/historical/candles?instrument_token={token}&interval=1m&from=2020-01-01&to=2100-01-01",
    "/api/historical/candles?instrument_token={token}&interval=1d&from=2020-01-01&to=2100-01-01",
    "/api/instruments/{token}",
    "/ready",
)


class Reader(threading.Thread):
    """Somebody who reads all the while: how many answers came, and what went wrong."""

    def __init__(self, stack: Stack, token: int) -> None:
        super().__init__(daemon=True)
        self.answers, self.failures, self.empty = 0, list[str](), 0
        self._urls = [f"http://127.0.0.1:{stack.api_port}{path.format(token=token)}" for path in PATHS]
        self._key = stack.environment()["BAHI_API_KEY"]
        self._ended = threading.Event()

    def run(self) -> None:
        """Read until the end."""
        while not self._ended.is_set():
            for url in self._urls:
                self._read(url)

    def _read(self, url: str) -> None:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._key}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                found = json.load(answer)
        except OSError as error:
            self.failures.append(f"{url}: {error}")
            return
        self.answers += 1
        self.empty += "candles" in found and not found["candles"]

    def end(self) -> None:
        """Read no more."""
        self._ended.set()
        self.join(PATIENCE_SECONDS)


def wrong_rows(stack: Stack) -> int:
    """Give how many rows hold the quantity in the place of the price."""
    return int(stack.query("select count(*) from ticks where last_price = last_quantity / 100.0")[0][0])


@pytest.mark.prove
def test_a_parsers_bug_is_repaired_while_everybody_reads(
    data_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    """A field read at a wrong offset for a while, then mended: rebuild and swap repair the past; no request fails."""
    with Stack(data_dir, **SETTINGS) as stack:
        for name in ("sandbox", "sync", "ticks", "archive", "api"):
            stack.start(name)
        stack.start("project", command=[sys.executable, "-c", BUGGY, "project"])
        flowing(stack, "candles")
        stack.wait("wrong rows are there", lambda: wrong_rows(stack) > 50_000)
        stack.kill("project")
        stack.start("project")
        stack.wait("right rows follow", further(stack))
        wrong = wrong_rows(stack)
        ((token,),) = stack.query("select instrument_token from candles_1m order by tick_count desc limit 1")
        reader = Reader(stack, token)
        reader.start()
        rebuilds = [json.loads(stack.run("rebuild", name, "--yes", "--json").stdout) for name in ("ticks", "candles")]
        stack.wait("it goes on behind the swap", further(stack))
        reader.end()
        account = settle(stack)
        assert all(each["rebuilds"][0]["swapped"] for each in rebuilds)
        assert (reader.failures, reader.empty) == ([], 0)
        assert reader.answers > len(PATHS)
        assert prices_of(stack) == stored_prices(stack)
        record_property("rows that were wrong", wrong)
        record_property("requests answered meanwhile", reader.answers)
        record_property("requests that failed", len(reader.failures))
        record_property("seconds", round(sum(each["rebuilds"][0]["seconds"] for each in rebuilds), 1))
        tell(account, record_property)


def prices_of(stack: Stack) -> Counter[tuple[int, float]]:
    """Give the prices by n, as the frames say them."""
    events = accounting.events_of(stack.redis_url, stack.data_dir / "archive", TICK_STREAM)
    found: Counter[tuple[int, float]] = Counter()
    for event in events:
        if event.type == "kite.frame.v1":
            found.update((event.n, price) for _, _, price, _ in accounting.ticks_of([event]))
    return found


def stored_prices(stack: Stack) -> Counter[tuple[int, float]]:
    """Give the prices by n, as the table has them."""
    return Counter(stack.query("select n, last_price from ticks"))
