"""Several `bahi project` side by side, as real processes: who runs what when one joins, ends, dies or freezes."""

import asyncio
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from events import codec
from events.archive import Archive
from ops.bench.frames import Source
from projectors.catalogue import PROJECTIONS
from tests.stack import TICK_STREAM, Stack

STREAMS = (TICK_STREAM, "reference", "accounts")
PAIRS = {(name, stream) for name, each in PROJECTIONS.items() for stream in STREAMS if each.wants(stream)}


@pytest.fixture
def stack(data_dir: Path) -> Iterator[Stack]:
    """Give ticks and their reference data, and one worker that has begun with all of it."""
    with Stack(data_dir, BAHI_SANDBOX_INSTRUMENTS=50) as stack:
        for name in ("sandbox", "sync", "ticks", "project"):
            stack.start(name)
        stack.wait("one worker runs all pairs", lambda: shares(stack) == {"project": PAIRS})
        yield stack


def shares(stack: Stack) -> dict[str, set[tuple[str, str]]]:
    """Give the pairs that each living worker holds."""
    names = {str(process.pid): name for name, process in stack.processes.items()}
    found: dict[str, set[tuple[str, str]]] = {}
    held = stack.query(
        "select projector, stream, split_part(owner, ':', 2) from projection_checkpoints where lease_until > now()"
    )
    for projector, stream, pid in held:
        found.setdefault(names[pid], set()).add((projector, stream))
    return found


def share_all(stack: Stack, workers: set[str], pairs: set[tuple[str, str]] = PAIRS) -> bool:
    """Say whether these workers, and no others, have all pairs among them."""
    found = shares(stack)
    return found.keys() == workers and set.union(*found.values()) == pairs


def grows(stack: Stack) -> None:
    """See that every projector of ticks goes on."""
    before = {name: stack.checkpoint(name) for name in ("ticks", "candles", "gaps")}
    stack.wait("all go on", lambda: all(stack.checkpoint(name) > n for name, n in before.items()))


def test_one_who_joins_takes_its_part_and_gives_it_back(stack: Stack) -> None:
    stack.start("project2")
    both = {"project": PAIRS - {("ticks", TICK_STREAM)}, "project2": {("ticks", TICK_STREAM)}}
    stack.wait("the newcomer has its part", lambda: shares(stack) == both)
    grows(stack)
    assert stack.stop("project2") == 0
    stack.wait("the first one has all of it again", lambda: shares(stack) == {"project": PAIRS})
    assert stack.query("select count(*) from workers") == [(1,)]
    grows(stack)


def test_the_part_of_one_who_is_killed_is_taken_over(stack: Stack) -> None:
    stack.start("project2")
    stack.start("project3")
    stack.wait("three share it", lambda: share_all(stack, {"project", "project2", "project3"}))
    stack.kill("project")
    stack.wait("two have all", lambda: share_all(stack, {"project2", "project3"}))
    grows(stack)
    stack.kill("project3")
    stack.wait("one has all", lambda: share_all(stack, {"project2"}))
    grows(stack)


def test_one_who_freezes_loses_its_part_and_gets_one_again(stack: Stack) -> None:
    stack.start("project2")
    stack.wait("two share it", lambda: len(shares(stack)) == 2)
    stack.signal("project", signal.SIGSTOP)
    stack.wait("the other one has all of it", lambda: shares(stack) == {"project2": PAIRS})
    grows(stack)
    stack.signal("project", signal.SIGCONT)
    stack.wait("both have a part", lambda: len(shares(stack)) == 2)
    grows(stack)


def test_one_for_some_projectors_only_leaves_the_others_alone(stack: Stack) -> None:
    stack.start("project2", "candles", "gaps")
    rest = {"project": PAIRS - {("candles", TICK_STREAM), ("gaps", TICK_STREAM)}}
    parted = {**rest, "project2": {("candles", TICK_STREAM), ("gaps", TICK_STREAM)}}
    stack.wait("each has what it can", lambda: shares(stack) == parted)
    grows(stack)


def test_who_let_go_of_a_pair_tells_nothing_of_it_any_more(stack: Stack) -> None:
    stack.start("project2")
    stack.wait("two share it", lambda: len(shares(stack)) == 2)

    def told(name: str) -> set[str]:
        path = stack.data_dir / "run" / f"{name}.prom"
        text = path.read_text() if path.exists() else ""
        return set(re.findall(r'^bahi_projector_n\{projector="(\w+)"', text, re.MULTILINE))

    stack.wait(
        "each tells of its own",
        lambda: (told("project"), told("project-2")) == ({name for name, _ in PAIRS} - {"ticks"}, {"ticks"}),
    )


HOT = "ticks-sandbox-2"
HOT_FRAMES = 120_000
"""1.2 million ticks: some times what one processor loads while the others commit once."""


async def heat(stack: Stack) -> None:
    """Let there be a second stream that has much to be caught up with; the same frames come again and again."""
    archive, frames = Archive(stack.data_dir / "archive"), list(Source().frames(10_000))
    for first in range(1, HOT_FRAMES + 1, len(frames)):
        await archive.put(HOT, [codec.encode(n, event) for n, event in enumerate(frames, first)])


def test_a_stream_with_much_to_do_holds_up_no_other(stack: Stack) -> None:
    asyncio.run(heat(stack))
    stack.wait("the hot one has begun", lambda: stack.checkpoint("ticks", HOT) > 0)
    end = last(stack)
    stack.wait("the other ones go on beside it", lambda: stack.caught_up(end))
    assert stack.checkpoint("ticks", HOT) < HOT_FRAMES, "there was much to be done all the while"


def last(stack: Stack) -> int:
    """Give the last n of the live stream."""
    with stack.redis() as client:
        ((entry_id, _),) = client.xrevrange(TICK_STREAM, count=1)
    return int(entry_id.split(b"-")[0])
