"""A replay to a projector: its own code fills tables in a schema of their own from a span of the log.

The tables are like the live ones, with positions and parked events beside them; they are kept until they are dropped,
whatever becomes of the replay. A projector knows nothing from before the span: what it tells from the day so far, as
candles do from the day's volume, is right where the span begins with the day.
"""

from collections.abc import Callable, Sequence
from functools import partial

from events.archive import Archive
from events.log import Log
from events.reader import Reader
from events.span import Span, received
from ops.replay.paced import Paced
from ops.replay.play import Play
from projectors.ahead import Ahead
from projectors.building import Building
from projectors.projector import Projection
from runtime.clock import SystemClock
from runtime.errors import Halt, LeaseLost, Unreachable
from runtime.waiting import Backoff
from sql.replays import Stage, how_to_drop


async def run(
    stage: Stage,
    projection: Projection,
    spans: Sequence[Span],
    play: Play,
    near: Log,
    make_archive: Callable[[], Archive],
) -> int:
    """Fill the schema until all is in it, or the stop; give how many events are. Raises BadInput, Halt."""
    reader = Reader(near, make_archive())
    # One count for all streams, from the earliest event on.
    play.pace.seconds_until(min([await received(reader, span.stream, span.first) for span in spans]))
    await stage.make(projection.version)
    play.watcher.phase("projecting")
    make_reader = partial(Paced, play.pace, play.watcher) if play.pace.keeps_time else Ahead
    building = Building(stage, projection, near, make_archive, SystemClock(), play.stop, make_reader)
    try:
        await _fill(building, spans, play)
    except LeaseLost as error:
        raise Halt(
            f"the log to stay as it was read into {stage.schema}",
            "a takeover of it, or another process in this schema",
            f"{how_to_drop(stage.schema)}, and replay again",
        ) from error
    play.watcher.say(
        f"{await stage.rows():,} rows are in {stage.schema}, until you drop it: {how_to_drop(stage.schema)}"
    )
    return building.events


async def _fill(building: Building, spans: Sequence[Span], play: Play) -> None:
    """Go on until all is there, waiting for whatever does not answer."""
    backoff = Backoff()
    while not play.stop.is_set():
        try:
            for span in spans:
                await building.begin(span.stream, span.first)
            await building.bring({span.stream: span.last for span in spans}, play.watcher.moved)
        except Unreachable as error:
            play.watcher.say(f"waits for {error.wanted}: {error.found}")
            await play.stop.pause(backoff.next_seconds())
        else:
            return
