"""A segment of full-mode frames: how small, against the frames, zstd alone and PostgreSQL; and how quickly made."""

import time

import zstandard

from events import codec, segment
from ops.bench import table
from ops.bench.frames import PACKETS, Source, recorded
from ops.bench.measure import AT_LEAST, Case, Target, Trial, alone, compare

FRAMES = 20_000  # ten seconds at 20,000 ticks/s: 37 MB, a full chunk or more of each kind
MB = 1_000_000
AGAINST = "the same zstd of the frames alone"
STREAM = "ticks-bench-1"


def run(trial: Trial) -> list[Case]:
    """Measure `segment.build` on ten seconds of full-mode frames of 1,000 instruments."""
    trial.say("making ten seconds of frames")
    frames = round(trial.part(FRAMES))
    events = list(Source().frames(frames))
    entries = [codec.encode(n, event) for n, event in enumerate(events, start=1)]
    payload_bytes = sum(len(event.payload) for event in events)
    joined = b"".join(event.payload for event in events)
    chunks = [joined[start : start + segment.CHUNK_BYTES] for start in range(0, len(joined), segment.CHUNK_BYTES)]
    zstd = zstandard.ZstdCompressor(compression_params=segment.ZSTD)

    trial.say("loading PostgreSQL's table")
    held = table.size(recorded(iter(events), STREAM))
    trial.say("building the segment")
    size = len(segment.build(STREAM, entries))
    alone_size = sum(len(zstd.compress(chunk)) for chunk in chunks)
    limits = {
        "the raw frames": payload_bytes,
        "each frame by itself through the same zstd": sum(len(zstd.compress(event.payload)) for event in events),
        AGAINST: alone_size,
        "PostgreSQL's table": held.heap,
        "PostgreSQL's table and index": held.with_indexes,
    }
    speeds = trial.alternate(
        lambda: trial.per_second(payload_bytes, lambda: segment.build(STREAM, entries), time.thread_time) / MB,
        lambda: (
            trial.per_second(payload_bytes, lambda: [zstd.compress(chunk) for chunk in chunks], time.thread_time) / MB
        ),
    )
    smaller = ([payload_bytes / size] * trial.rounds, [payload_bytes / alone_size] * trial.rounds)
    note = f"{size / (frames * PACKETS):.1f} bytes a tick, of {payload_bytes / (frames * PACKETS):.0f}"
    return [
        *(_bytes_a_tick(against, size, limit, frames * PACKETS) for against, limit in limits.items()),
        alone("size: raw frames against the segment", "times smaller", smaller[0], Target(4.5, AT_LEAST), note),
        compare("size: against zstd alone", "times smaller", AGAINST, smaller, None),
        alone("speed", "MB/s of frames", speeds[0], Target(400, AT_LEAST)),
        compare("speed: against zstd alone", "MB/s of frames", AGAINST, speeds, None),
    ]


def _bytes_a_tick(against: str, size: int, limit: int, ticks: int) -> Case:
    """Give the case of sizes that are the same in each round."""
    found = ([size / ticks], [limit / ticks])
    return compare("bytes a tick in the archive", "bytes", against, found, None)
