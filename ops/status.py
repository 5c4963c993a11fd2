"""`bahi status` for eyes: what is wrong first, then feeds, accounts, streams, projectors, servers and processes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.doctor import access, accounts, machine, projections, servers
from ops.doctor.finding import Finding, State
from ops.doctor.log import stores
from ops.facts.accounts import AccountFacts
from ops.facts.gather import Facts
from ops.facts.streams import FeedFacts, StreamFacts

LAG_SECONDS_FINE = 5.0  # invariant 8
MIB = 1024 * 1024
MINUTE_SECONDS = 60
NONE = "-"
ACCOUNTS_MAX = 20  # shown; hundreds would push everything else off the screen


def troubles(facts: Facts) -> list[Finding]:
    """Give what is wrong by one look; `bahi doctor` looks longer, and at more."""
    found = [
        *machine.disks(Path(facts.data_dir)),
        *servers.postgres(facts),
        *servers.redis(facts),
        *stores(facts),
        *projections.standing(facts, {}, 0.0),
        *projections.went_back(facts),
        *projections.tables(facts),
        *access.watched(facts),
        *access.feeds(facts),
        *accounts.accounts(facts),
        *accounts.reconciled(facts),
        *_lagging(facts),
    ]
    return [finding for finding in found if finding.state is State.WRONG]


def _lagging(facts: Facts) -> Iterable[Finding]:
    for stream in facts.streams:
        for each in stream.projectors:
            if facts.running and each.lag_seconds > LAG_SECONDS_FINE:
                found = f"{each.projector} of {stream.stream} is {each.lag_seconds:.0f} s behind"
                yield Finding("lag", State.WRONG, found, "bahi doctor says why")


def shown(facts: Facts) -> RenderableType:
    """Lay the facts out."""
    wrong = [
        part
        for each in troubles(facts)
        for part in (Text(f"! {each.check}: {each.found}", "bold red"), Text(f"  do: {each.remedy}", "red"))
    ]
    parts: list[RenderableType] = [*wrong, _head(facts), _feeds(facts.feeds), *_accounts(facts.accounts)]
    return Group(*parts, _streams(facts.streams), _projectors(facts.streams), _servers(facts), _processes(facts))


def _head(facts: Facts) -> Text:
    runs = f"bahi {facts.running} runs" if facts.running else "nothing runs" if not _living(facts) else "running"
    where = f" at {facts.url}" if facts.url else ""
    head = Text(f"{', '.join(facts.broker)} in {facts.data_dir}, {facts.at}: {runs}{where}; ")
    head.append(f"{facts.ticks_per_second:,.0f} ticks/s", "bold")
    database = facts.database.facts
    if database:
        head.append(f"; {database.recent_gaps} gaps within a day, {len(database.open_gaps)} open")
        waiting, aside = (sum(getattr(each, name) for each in database.parked) for name in ("events", "set_aside"))
        if waiting or aside:
            head.append(f"; {waiting:,} parked events wait, {aside:,} are set aside", "bold red" if waiting else "")
    return head


def _feeds(feeds: Iterable[FeedFacts]) -> Table:
    table = _table("feed", "state", "ticks/s", "frames/s", "instruments", "heard", "gap")
    for feed in feeds:
        table.add_row(
            feed.stream,
            _state(feed),
            f"{feed.ticks_per_second:,.1f}",
            f"{feed.frames_per_second:,.1f}",
            NONE if feed.instruments is None else f"{feed.instruments:,}",
            f"{_seconds(feed.last_message_seconds)} ago" if feed.last_message_seconds is not None else NONE,
            "open" if feed.gap_from_ns else NONE,
        )
    return table


def _state(feed: FeedFacts) -> Text:
    if feed.state == "closed":
        return Text(feed.down or feed.state)
    return Text(feed.state, "green" if feed.state == "connected" else "bold red")


def _accounts(accounts: Sequence[AccountFacts]) -> Iterator[RenderableType]:
    """Lay the accounts out, those that are not well first; nothing where there is none."""
    if not accounts:
        return
    table = _table("account", "state", "of", "all asked", "orders", "trades", "failures")
    for each in sorted(accounts, key=_well)[:ACCOUNTS_MAX]:
        table.add_row(
            each.account_id,
            _account_state(each),
            each.broker,
            NONE if each.age_seconds is None else f"{_seconds(each.age_seconds)} ago",
            f"{each.orders:,}",
            f"{each.trades:,}",
            f"{each.failures:,}",
        )
    yield table
    if len(accounts) > ACCOUNTS_MAX:
        yield Text(f"and {len(accounts) - ACCOUNTS_MAX:,} more accounts", "dim")


def _well(account: AccountFacts) -> tuple[bool, bool, str]:
    return not account.active, account.status == "ok" and not account.stale, account.account_id


def _account_state(account: AccountFacts) -> Text:
    if not account.active:
        return Text("not pulled any more", "dim")
    if account.status == "ok":
        return Text("stale", "bold red") if account.stale else Text("ok", "green")
    return Text(account.status or "never pulled", "bold red" if account.status else "")


def _streams(streams: Iterable[StreamFacts]) -> Table:
    table = _table("stream", "events/s", "last n", "spool", "Redis", "trimmed", "archived", "unarchived")
    for each in streams:
        table.add_row(
            each.stream,
            f"{each.events_per_second:,.1f}",
            f"{each.last:,}",
            _number(each.spool_last),
            _number(each.redis_last),
            _number(each.trimmed),
            _number(each.archived),
            _seconds(each.unarchived_seconds),
        )
    return table


def _projectors(streams: Iterable[StreamFacts]) -> Table:
    table = _table("projector", "of", "n", "behind by", "for", "owner")
    for stream in streams:
        for each in stream.projectors:
            table.add_row(
                each.projector,
                stream.stream,
                f"{each.n:,}",
                f"{each.lag_events:,}",
                Text(f"{each.lag_seconds:.1f} s", "" if each.lag_seconds <= LAG_SECONDS_FINE else "bold red"),
                ":".join((each.owner or NONE).split(":")[:2]) if each.held else Text("nobody", "bold red"),
            )
    return table


def _servers(facts: Facts) -> Table:
    table = _table("server", "version", "size", "about")
    redis, database = facts.redis.facts, facts.database.facts
    if redis:
        used = f"{redis.memory_bytes / MIB:,.0f} of {redis.memory_bytes_max / MIB:,.0f} MiB"
        table.add_row("Redis", redis.version, used, redis.policy)
    if database:
        version = f"{database.version // 10_000}.{database.version % 10_000}"
        about = f"{database.flavour}, tables at version {database.migrated} of {database.wanted}"
        table.add_row("PostgreSQL", version, f"{database.bytes / MIB:,.0f} MiB", about)
    for name, server in (("Redis", facts.redis), ("PostgreSQL", facts.database)):
        if not server.known:
            table.add_row(name, NONE, NONE, "not known: nothing runs, and no setting names one")
        elif server.trouble:
            table.add_row(name, NONE, NONE, Text(server.trouble, "bold red"))
    return table


def _processes(facts: Facts) -> Text:
    return Text(f"processes: {', '.join(f'{name} ({pid})' for name, pid in _living(facts)) or 'none'}")


def _living(facts: Facts) -> list[tuple[str, int]]:
    return [(each.name, each.pid) for each in facts.processes if each.running]


def _seconds(seconds: float | None) -> str:
    return NONE if seconds is None else f"{seconds:,.1f} s" if seconds < MINUTE_SECONDS else f"{seconds / 60:,.0f} min"


def _number(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(
            name, no_wrap=True, justify="left" if name in ("state", "of", "owner", "version", "about") else "right"
        )
    return table
