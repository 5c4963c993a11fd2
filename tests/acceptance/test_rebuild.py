"""Disaster recovery at length: tables from the archive alone, in bounded memory; speeds beside reading and loading."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from events import codec
from events.archive import Archive
from ops.bench.frames import PACKETS, Source
from runtime.settings import Settings
from tests.acceptance.memory import watched

STREAMS = ("ticks-sandbox-1", "ticks-sandbox-2", "ticks-sandbox-3")
TICKS = 10_000_000
SEGMENT_FRAMES = 32_000
"""About 60 MB of records: what a spool file of the usual size holds."""

RSS_MIB_MAX = 512
"""Python with its libraries takes 130 MiB. Each of three streams holds two batches of 4,096 frames (8 MB each) as
bytes, as events and decoded (twice that), and the archive's last chunks and blocks. It must not grow with the log."""


async def fill(settings: Settings) -> int:
    """Write TICKS ticks of three streams into the archive; give how many. The same frames come again and again."""
    archive, pool = Archive.at(settings), list(Source().frames(SEGMENT_FRAMES))
    frames = TICKS // PACKETS // len(STREAMS)
    for first in range(1, frames + 1, SEGMENT_FRAMES):
        chosen = pool[: frames + 1 - first]
        entries = [codec.encode(n, event) for n, event in enumerate(chosen, first)]
        for stream in STREAMS:
            await archive.put(stream, entries)
    return frames * PACKETS * len(STREAMS)


def rebuild(settings: Settings, name: str, folder: Path) -> tuple[dict[str, object], float]:
    """Run `bahi rebuild`; give its outcome, and the most memory that it had, in MiB."""
    environ = {
        **os.environ,
        "BAHI_DATA_DIR": str(settings.bahi_data_dir),
        "DATABASE_URL": str(settings.database_url),
        "REDIS_URL": str(settings.redis_url),
    }
    with (folder / name).open("w+") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "rebuild", name, "--json"], env=environ, stdout=out
        )
        rss_mib = watched(process)
        assert process.returncode == 0
        out.seek(0)
        (outcome,) = json.load(out)["rebuilds"]
    return outcome, rss_mib


@pytest.mark.prove
async def test_ten_million_ticks_come_back_in_bounded_memory(
    settings: Settings, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Ten million ticks of three streams, and their candles, from the archive alone into an empty database."""
    wanted = await fill(settings)
    for name in ("ticks", "candles"):
        outcome, rss_mib = rebuild(settings, name, tmp_path)
        record_property(f"{name}: seconds", outcome["seconds"])
        record_property(f"{name}: most memory, MiB", round(rss_mib))
        assert outcome["swapped"]
        assert rss_mib < RSS_MIB_MAX
    with psycopg.connect(str(settings.database_url)) as connection:
        (ticks,) = connection.execute("select count(*) from ticks").fetchall()
        (candles,) = connection.execute("select sum(tick_count) from candles_1m").fetchall()
    assert ticks == (wanted,)
    record_property("ticks", wanted)
    record_property("ticks in candles", int(candles[0]))


@pytest.mark.prove
def test_it_is_measured_beside_live_loading_and_beside_reading(record_property: Callable[[str, object], None]) -> None:
    """Half a million ticks rebuilt, in turns with live loading and with reading the segments; ratios, no limits."""
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "bench", "rebuild", "--json"], capture_output=True, text=True, check=True
    )
    for case in json.loads(done.stdout)["cases"]:
        record_property(f"{case['case']}, to {case['against']}", case["ratio"])
