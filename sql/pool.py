"""Connections to PostgreSQL, all with the same limits, and its errors in Bahi's own tree."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import psycopg_pool
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads

from runtime.errors import BadEvent, Halt, Unreachable
from runtime.waiting import heed_cancel
from sql.statements import statements

STATEMENT_SECONDS_MAX = 30  # the longest statement of a projector is the comparison of a whole dump
LOCK_SECONDS_MAX = 5  # a lock that takes longer is somebody's mistake; the batch is tried again
IDLE_TRANSACTION_SECONDS_MAX = 10  # a frozen owner's transaction lets go of its checkpoint
CONNECT_SECONDS_MAX = 5
RECONNECT_SECONDS_MAX = 5  # the pool doubles its waits up to this, and then tries anew at the next request
DEAD_PEER_SECONDS_MAX = 5  # a cut network is noticed within this
POOL_SIZE_MAX = 8
APPLICATION = "bahi"

_OPTIONS = " ".join(
    f"-c {name}={seconds}s"
    for name, seconds in (
        ("statement_timeout", STATEMENT_SECONDS_MAX),
        ("lock_timeout", LOCK_SECONDS_MAX),
        ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_SECONDS_MAX),
    )
)
_KEEPALIVE = {
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": DEAD_PEER_SECONDS_MAX * 1000,
}

# psycopg counts these among the internal errors: the server ended our transaction after a freeze, or follows another.
_NOT_NOW = (
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
)
_NOT_MIGRATED = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)

Connection = psycopg.AsyncConnection[DictRow]
Pool = psycopg_pool.AsyncConnectionPool[Connection]


def _parameters() -> dict[str, Any]:
    return {
        "row_factory": dict_row,
        "autocommit": True,
        "connect_timeout": CONNECT_SECONDS_MAX,
        "options": _OPTIONS,
        "application_name": APPLICATION,
        **_KEEPALIVE,
    }


async def connect(database_url: str, name: str = APPLICATION) -> Connection:
    """Give a connection of one's own, in autocommit, by which name the server knows it. Raises Unreachable."""
    async with reaching("a connection"):
        return await psycopg.AsyncConnection.connect(database_url, **{**_parameters(), "application_name": name})


async def flavour(connection: Connection) -> str:
    """Say whether the database is `plain` PostgreSQL or has `timescale`."""
    row = await (await connection.execute(statements["server_version"])).fetchone()
    return "timescale" if row and row["license"] else "plain"


async def open_pool(database_url: str, size_max: int = POOL_SIZE_MAX) -> Pool:
    """Give a pool of connections, in autocommit; it opens while the server is away, too."""
    pool: Pool = psycopg_pool.AsyncConnectionPool(
        database_url,
        kwargs=_parameters(),
        min_size=1,
        max_size=size_max,
        configure=_keep_digits,
        open=False,
        timeout=CONNECT_SECONDS_MAX,
        reconnect_timeout=RECONNECT_SECONDS_MAX,
    )
    await pool.open(wait=False)
    return pool


async def _keep_digits(connection: Connection) -> None:
    """Read numbers inside JSON as decimals: they may be money."""
    set_json_loads(msgspec.json.Decoder(float_hook=Decimal).decode, connection)


@asynccontextmanager
async def reaching(what: str) -> AsyncIterator[None]:
    """Turn psycopg's errors into ours: no answer or right is Unreachable, refused data BadEvent, all else Halt."""
    try:
        with heed_cancel():
            yield
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout, OSError) as error:
        raise Unreachable(
            f"PostgreSQL to answer: {what}", _first_line(error), "it is tried again; is DATABASE_URL right?"
        ) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise BadEvent(f"PostgreSQL to take {what}", _first_line(error), "the event is parked") from error
    except _NOT_NOW as error:
        raise Unreachable(f"PostgreSQL to take {what}", _first_line(error), "it is tried again") from error
    except _NOT_MIGRATED as error:
        raise Unreachable(f"the tables of {what}", _first_line(error), "run bahi migrate") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise Unreachable(
            f"PostgreSQL to let this user have {what}",
            _first_line(error),
            "let the user of DATABASE_URL own its database and what is in it, or name another user; it is tried again",
        ) from error
    except psycopg.Error as error:
        raise Halt(f"PostgreSQL to accept {what}", _first_line(error), "this is a defect: please report it") from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no text'}"
