"""What strikes a history now and then, by its name in `faults`: services that go, disks that forget, a second one."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from events import codec
from events.spool import OPENS_COMMIT, RECORD_HEAD, SUFFIX, header, records
from tests.simulation.kernel import Node
from tests.simulation.shape import FOLDER, PROJECTORS, STREAM
from tests.simulation.timeline import pause
from tests.simulation.world import FREEZE_SECONDS, JUMP_SECONDS, Process, Service

if TYPE_CHECKING:
    from tests.simulation.history import History

RAISED_SHARE = 0.5  # of databases that went back: somebody knew, and ran `bahi restored`

Strike = Callable[["History"], Awaitable[None]]


def _some_process(history: "History") -> Process:
    return history.world.dice.choice(history.world.processes)


async def freeze(history: "History") -> None:
    """Let a process stand still, past its lease or not."""
    _some_process(history).freeze(history.world.dice.choice(FREEZE_SECONDS))


async def stop(history: "History") -> None:
    """Ask a process to end."""
    process = _some_process(history)
    if process.life is not None and process.life.stop is not None:
        history.world.say(process.name, "is asked to stop")
        process.life.stop.set()


async def redis_falls_back(history: "History") -> None:
    """Let Redis come back with an append-only file that was cut."""
    left = await history.redis.fall_back(history.world.dice.randint(1, 5))
    history.world.say("redis", f"loses its tail: {left}")


async def redis_empties(history: "History") -> None:
    """Let Redis come back with nothing."""
    history.world.say("redis", "loses everything")
    await history.redis.empty()


async def redis_goes(history: "History") -> None:
    """Let Redis be away for a while."""
    _goes(history, history.redis)


async def archive_goes(history: "History") -> None:
    """Let the archive be away for a while."""
    _goes(history, history.shelf)


async def tables_go(history: "History") -> None:
    """Let PostgreSQL be away for a while."""
    _goes(history, history.tables)


def _goes(history: "History", service: Service) -> None:
    world = history.world

    def comes() -> None:
        service.up = True
        world.say(service.name, "is back")

    if service.up:
        world.say(service.name, "is away")
        service.up = False
        service.break_connections()
        world.later(world.between(0.1, 8.0), comes)


async def redis_fills_up(history: "History") -> None:
    """Let Redis refuse every append for a while."""

    def has_room() -> None:
        history.redis.full = False

    history.world.say("redis", "is full")
    history.redis.full = True
    history.world.later(history.world.between(0.1, 5.0), has_room)


async def disk_fills_up(history: "History") -> None:
    """Let a disk take no more for a while."""

    def has_room() -> None:
        history.home.disk.room = None

    history.world.say("home", "has a full disk")
    history.home.disk.room = history.world.dice.choice((0, 30, 1000))
    history.world.later(history.world.between(0.1, 5.0), has_room)


async def clock_jumps(history: "History") -> None:
    """Set somebody's clock wrong."""
    clock = history.world.dice.choice((history.home, history.away, history.tables))
    clock.clock_offset += history.world.dice.choice(JUMP_SECONDS)
    history.world.say(clock.name, f"has its clock {clock.clock_offset:+.0f} s off")


async def rebuild_begins(history: "History") -> None:
    """Let somebody want new tables of a projector."""
    if not history.rebuilds_due:
        history.rebuilds_due = [history.world.dice.choice(sorted(PROJECTORS))]


async def database_goes_back(history: "History") -> None:
    """Let PostgreSQL be restored from a backup; the command that belongs to it is run, or forgotten."""
    tables, faults = history.tables, history.world.faults
    raised = history.world.dice.random() < RAISED_SHARE or "clock" in faults.kinds
    tables.may_hand_out_twice |= not raised
    history.world.say("tables", f"go back to a backup ({'all epochs raised' if raised else 'as it is'}):")
    history.world.say("tables", tables.go_back(raised=raised))


async def segment_rots(history: "History") -> None:
    """Let one bit of a segment be another."""
    dice = history.world.dice

    def rot(content: bytes) -> bytes:
        at = dice.randrange(len(content))
        return content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]

    _damage(history, "rotten", rot)


async def segment_is_short(history: "History") -> None:
    """Let a server have kept a part of what it was sent."""
    _damage(history, "short", lambda content: content[: history.world.dice.randrange(len(content))])


async def segment_goes_missing(history: "History") -> None:
    """Let somebody remove a segment. Without the last one an archive is a shorter one, and nobody can tell."""
    _damage(history, "missing", None)


def _damage(history: "History", how: str, spoil: Callable[[bytes], bytes] | None) -> None:
    shelf, world, ledger = history.shelf, history.world, history.ledger
    names = sorted(shelf.segments)[: None if spoil else -1]
    if shelf.damaged or not names:
        return
    world.may_halt = frozenset(process.name for process in world.processes)
    name = world.dice.choice(names)
    entries = shelf.entries(name)
    shelf.damaged = (name, shelf.segments[name])
    if spoil is not None:
        shelf.segments[name] = spoil(shelf.segments[name])
    else:
        del shelf.segments[name]
        ledger.missing = (name.first, codec.entry_n(entries[-1]), ledger.archived[STREAM])
    world.say("archive", f"has a segment {name.first} that is {how}")


async def second_writer_starts(history: "History") -> None:
    """Let somebody start a writer of the same stream on another host, by mistake."""
    history.begin_second_writer()


async def spool_is_lost(history: "History") -> None:
    """Let the spool's files be gone."""
    home = history.home

    def lose(names: list[str]) -> set[bytes]:
        gone = {record.payload for name in names for record in _records_of(home.disk.names[name], name)}
        for name in names:
            del home.disk.names[name]
        return gone

    _spoil(history, "lost", lose)


async def spool_is_short(history: "History") -> None:
    """Let the youngest file end earlier, as an old copy of the disk does."""

    def cut(names: list[str]) -> set[bytes]:
        node = history.home.disk.names[names[-1]]
        length = history.world.dice.randint(0, len(node.content))
        gone = {record.payload for record in _records_of(node, names[-1]) if record.stop > length}
        del node.content[length:]
        return gone

    _spoil(history, "short", cut)


async def spool_is_rotten(history: "History") -> None:
    """Let one bit of a file be another: the record that it is in is gone, and no other one."""
    dice = history.world.dice

    def rot(names: list[str]) -> set[bytes]:
        name = dice.choice(names)
        node = history.home.disk.names[name]
        if not node.content:
            return set()
        there, at = _records_of(node, name), dice.randrange(len(node.content))
        node.content[at] ^= 1 << dice.randrange(8)
        gone = [record for record in there if record.start <= at]
        if not gone or gone[-1].stop <= at:
            return set()
        later = there[len(gone) :]
        if name == names[-1] and not any(record.opens for record in later):
            gone += later  # nobody can tell a rotten commit from a torn one where no other follows
            return {record.payload for record in gone if record.stop > at}
        return {gone[-1].payload}

    _spoil(history, "rotten", rot)


def _spoil(history: "History", how: str, spoil: Callable[[list[str]], set[bytes]]) -> None:
    """Let the disk forget what it had promised to keep. One such disaster is enough for a history."""
    home, ledger = history.home, history.ledger
    if ledger.may_take_over or not _spool_names(history):
        return
    history.world.cut_power(home)
    names = _spool_names(history)
    if not names:
        return
    ledger.may_take_over, history.world.may_halt = True, frozenset({"writer", "archiver"})
    ledger.forgotten = spoil(names)
    home.disk.synced = dict(home.disk.names)
    for node in home.disk.names.values():
        node.synced = bytes(node.content)
    history.world.say(home.name, f"has a spool that is {how}: {len(ledger.forgotten)} events are gone")


def _spool_names(history: "History") -> list[str]:
    names = history.home.disk.names
    return sorted(name for name in names if name.startswith(f"{FOLDER}/") and name.endswith(SUFFIX))


class _Record(msgspec.Struct, frozen=True):
    """Where a record lies in its file, what it holds, and whether it opens a commit."""

    start: int
    stop: int
    payload: bytes
    opens: bool


def _records_of(node: Node, name: str) -> list[_Record]:
    content, found = bytes(node.content), []
    start = len(header(STREAM, int(name.rpartition("/")[2].removesuffix(SUFFIX))))
    for stop, entry in records(content, start):
        opens = bool(RECORD_HEAD.unpack_from(content, start)[0] & OPENS_COMMIT)
        found.append(_Record(start, stop, codec.decode(STREAM, entry).payload, opens))
        start = stop
    return found


STRIKES: dict[str, Strike] = {
    "freeze": freeze,
    "stop": stop,
    "redis tail": redis_falls_back,
    "redis empty": redis_empties,
    "redis down": redis_goes,
    "redis full": redis_fills_up,
    "tables down": tables_go,
    "archive down": archive_goes,
    "disk full": disk_fills_up,
    "clock": clock_jumps,
    "spool lost": spool_is_lost,
    "spool short": spool_is_short,
    "spool rotten": spool_is_rotten,
    "second writer": second_writer_starts,
    "rebuild": rebuild_begins,
    "backup": database_goes_back,
    "segment rotten": segment_rots,
    "segment short": segment_is_short,
    "segment missing": segment_goes_missing,
}


async def befall(history: "History") -> None:
    """Let faults strike until the chaos is over."""
    faults, world = history.world.faults, history.world
    until = world.loop.now + history.shape.chaos_seconds
    while world.loop.now < until:
        await pause(world.between(0.02, 0.4))
        for kind, strike in STRIKES.items():
            if faults.happens(kind):
                await strike(history)
