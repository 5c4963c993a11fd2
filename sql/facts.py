"""What kind of database the tables are in, and how they stand, for those who look after it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from sql import accounts, migrate
from sql.accounts import AccountHealth
from sql.pool import Connection, connect, flavour, reaching
from sql.rebuilds import left_of
from sql.statements import statements
from sql.workers import Halted

REBUILDS_SINCE = 5  # the migration that knows versions of tables
DECISIONS_SINCE = 10  # the migration that knows decisions about parked events
ACCOUNTS_SINCE = 13  # the migration that knows the trading accounts
HALTED_SINCE = 22  # the migration that knows what has halted
DIVERGENCES_SINCE = 16  # the migration that knows what books and brokers do not agree on
ACCOUNTS_MAX = 1000  # of the accounts that are looked at; who has more reads GET /accounts


class Pair(msgspec.Struct, frozen=True):
    """A projector on a stream: its position, and who holds it (`host:pid:start`)."""

    projector: str
    stream: str
    n: int
    epoch: int
    owner: str | None
    held: bool


class ParkedSum(msgspec.Struct, frozen=True):
    """Events of a stream that a projector could not read.

    events: that nobody has set aside; last_n, error: the newest n of these, and one reason; null where there is none.
    """

    projector: str
    stream: str
    events: int
    set_aside: int
    last_n: int | None
    error: str | None


class LostSum(msgspec.Struct, frozen=True):
    """Events that a takeover (n) gave up, of which a projector has rows that nobody else gets."""

    projector: str
    stream: str
    n: int
    lost: int


class Rebuilding(msgspec.Struct, frozen=True):
    """A schema of a rebuild: `rebuild` (being built, or left unfinished) or `replaced`. owner: who is at work on it."""

    name: str
    kind: str
    projector: str
    owner: str | None = None


class OpenGap(msgspec.Struct, frozen=True):
    """A loss of feed that lasts."""

    stream: str
    from_time: datetime
    reason: str


class DivergenceSum(msgspec.Struct, frozen=True):
    """How much an account's books and its broker do not agree on, of one type; what is settling apart."""

    account_id: str
    type: str
    divergences: int


class DatabaseFacts(msgspec.Struct, frozen=True):
    """A database as it is. migrated: the number of the last file that ran, None in an empty one; wanted: the newest.

    versions: of each projector, by which its tables were made. unlisted: of the watchlist, what the broker's list of
    instruments does not have. accounts: the trading accounts by name, with their divergences.
    """

    version: int
    flavour: str
    bytes: int
    clock_ns: int
    migrated: int | None
    wanted: int
    pairs: list[Pair] = []
    parked: list[ParkedSum] = []
    lost: list[LostSum] = []
    open_gaps: list[OpenGap] = []
    recent_gaps: int = 0
    versions: dict[str, int] = {}
    rebuilds: list[Rebuilding] = []
    unlisted: list[str] = []
    accounts: list[AccountHealth] = []
    divergences: list[DivergenceSum] = []
    halted: list[Halted] = []


async def look(database_url: str, gaps_since: datetime, broker: str, watchlist: Sequence[str]) -> DatabaseFacts:
    """Ask the database; gaps_since: from when on losses of feed count as recent. Raises Unreachable."""
    connection = await connect(database_url)
    try:
        async with reaching("how it stands"):
            facts = await _look(connection, gaps_since)
            if facts.migrated is None or not watchlist:
                return facts
            asked = {"broker": broker, "names": list(watchlist)}
            unlisted = [row["name"] for row in await _rows(connection, "unlisted_instruments", asked)]
            return msgspec.structs.replace(facts, unlisted=unlisted)
    finally:
        await connection.close()


async def _look(connection: Connection, gaps_since: datetime) -> DatabaseFacts:
    (server,) = await _rows(connection, "server_version")
    (found,) = await _rows(connection, "database_facts")
    (known,) = await _rows(connection, "database_version")
    kind = await flavour(connection)
    facts = DatabaseFacts(
        version=int(server["number"]),
        flavour=kind,
        bytes=found["bytes"],
        clock_ns=found["clock_us"] * 1000,
        migrated=None,
        wanted=len(migrate.migrations(kind)),
    )
    if known["known"] is None:
        return facts
    (last,) = await _rows(connection, "last_migration")
    (recent,) = await _rows(connection, "gaps_since", {"since": gaps_since})
    known_rebuilds = last["number"] >= REBUILDS_SINCE
    versions = await _rows(connection, "read_projections") if known_rebuilds else []
    return msgspec.structs.replace(
        facts,
        migrated=last["number"],
        versions={row["projector"]: row["version"] for row in versions},
        rebuilds=await _rebuilds(connection),
        pairs=msgspec.convert(await _rows(connection, "read_checkpoints"), list[Pair]),
        parked=msgspec.convert(await _rows(connection, "parked_sums"), list[ParkedSum])
        if last["number"] >= DECISIONS_SINCE
        else [],
        # An older database is looked at, too: it does not know them yet.
        lost=msgspec.convert(await _rows(connection, "read_lost_rows"), list[LostSum])
        if last["number"] == facts.wanted
        else [],
        open_gaps=msgspec.convert(await _rows(connection, "open_gaps"), list[OpenGap]),
        recent_gaps=recent["gaps"],
        accounts=await _accounts(connection) if last["number"] >= ACCOUNTS_SINCE else [],
        divergences=msgspec.convert(await _rows(connection, "divergence_sums"), list[DivergenceSum])
        if last["number"] >= DIVERGENCES_SINCE
        else [],
        halted=msgspec.convert(await _rows(connection, "read_halted"), list[Halted])
        if last["number"] >= HALTED_SINCE
        else [],
    )


async def _accounts(connection: Connection) -> list[AccountHealth]:
    async def ask(statement: LiteralString, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return await _rows(connection, statement, dict(parameters))

    return await accounts.health(ask, limit=ACCOUNTS_MAX)


async def _rebuilds(connection: Connection) -> list[Rebuilding]:
    found = []
    for each in left_of(row["name"] for row in await _rows(connection, "rebuild_schemas")):
        owners = await _rows(connection, "rebuild_claimant", {"projector": each.projector})
        found.append(Rebuilding(each.name, each.kind, each.projector, owners[0]["owner"] if owners else None))
    return found


async def _rows(
    connection: Connection, statement: LiteralString, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    return await (await connection.execute(statements[statement], parameters)).fetchall()
