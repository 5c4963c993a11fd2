"""Migrations and statements: one schema, applied once and by one, and no statement that PostgreSQL cannot take."""

import asyncio
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ops.embedded.server import Server
from runtime.errors import SettingError, Unreachable
from sql import migrate
from sql.migrate import SERVER_MIN, migrations
from sql.statements import parse, statements
from tests import schema
from tests.loops import ask
from tests.servers import with_database

FLAVOURS = ("plain", "timescale")


@pytest.fixture
def empty_url(postgres_server: Server) -> Iterator[str]:
    """Give the URL of an empty database that is this test's alone."""
    name = "test_empty"
    with psycopg.connect(with_database(postgres_server.url, "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield with_database(postgres_server.url, name)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


# The schema


async def test_the_migrations_give_the_schema(empty_url: str) -> None:
    await migrate.run(empty_url)
    assert schema.dump(empty_url) == schema.PATH.read_text(), "look at it, then run: python -m tests.schema"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_files_are_numbered_and_named_alike_for_both_flavours(flavour: str) -> None:
    found = migrations(flavour)
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    assert [each.name for each in found] == [each.name for each in migrations("plain")]
    assert all(each.flavour in ("", flavour) for each in found)
    assert all(each.text.startswith("-- ") for each in found), "it says what it is for"


def test_what_differs_lies_behind_the_same_functions() -> None:
    made = {
        flavour: set(
            re.findall(r"create function (\w+)\(([^)]*)\)", "\n".join(each.text for each in migrations(flavour)))
        )
        for flavour in FLAVOURS
    }
    assert made["plain"] <= made["timescale"]


# Running them


async def test_from_nothing_to_the_newest_version_and_nothing_the_second_time(empty_url: str) -> None:
    assert await migrate.version(empty_url) is None
    first = await migrate.run(empty_url)
    assert first.applied == [f"{each.number:04d}_{each.name}" for each in migrations("plain")]
    assert (first.flavour, first.version) == ("plain", len(first.applied))
    second = await migrate.run(empty_url)
    assert second.applied == []
    assert await migrate.version(empty_url) == first.version


async def test_of_several_at_once_one_does_the_work(empty_url: str) -> None:
    reports = await asyncio.gather(*(migrate.run(empty_url) for _ in range(4)))
    assert sorted(len(report.applied) for report in reports) == [0, 0, 0, len(migrations("plain"))]


async def test_a_table_of_somebody_else_is_named_and_nothing_is_changed(empty_url: str) -> None:
    await ask(empty_url, "create table ticks (of_somebody integer)")
    with pytest.raises(SettingError, match='"ticks" already exists') as refused:
        await migrate.run(empty_url)
    assert "DATABASE_URL" in refused.value.remedy
    assert await ask(empty_url, "select tablename from pg_tables where schemaname = 'public'") == [
        {"tablename": "ticks"}
    ]
    assert await migrate.version(empty_url) is None


async def test_a_user_without_rights_is_told_so_and_waited_for(empty_url: str) -> None:
    await ask(empty_url, "create role test_stranger login password 'x'")
    try:
        with pytest.raises(Unreachable, match="permission denied for schema public") as refused:
            await migrate.run(re.sub("//.*@", "//test_stranger:x@", empty_url))
        assert "DATABASE_URL" in refused.value.remedy
    finally:
        await ask(empty_url, "drop role test_stranger")


async def test_a_changed_file_is_refused(database_url: str) -> None:
    await ask(database_url, "update bahi_migrations set sha256 = repeat('0', 64) where number = 3")
    with pytest.raises(SettingError, match="0003_candles as it ran"):
        await migrate.run(database_url)


async def test_a_database_of_a_newer_bahi_is_refused(database_url: str) -> None:
    newer = len(migrations("plain")) + 1
    await ask(
        database_url,
        "insert into bahi_migrations (number, name, flavour, sha256) values (%s, 'later', 'plain', '')",
        newer,
    )
    with pytest.raises(SettingError, match=f"found version {newer}") as refused:
        await migrate.run(database_url)
    assert "update Bahi" in refused.value.remedy
    assert SERVER_MIN == 15


# Statements


def test_a_statement_needs_a_name_and_a_purpose() -> None:
    made = parse("-- one: the first\nselect 1;\n\n-- two_b: the second\nselect 2\n-- a remark\n", "x.sql")
    assert made == {"one": "select 1", "two_b": "select 2\n-- a remark"}
    for text in ("select 1", "-- no purpose:\nselect 1", "select 0;\n-- one: late\nselect 1", ""):
        with pytest.raises(ValueError, match=r"x\.sql"):
            parse(text, "x.sql")


def test_every_file_of_statements_is_read() -> None:
    for file in files("sql.statements").iterdir():
        if file.name.endswith(".sql"):
            assert parse(file.read_text("utf-8"), file.name).keys() <= statements.keys()


def numbered(statement: str) -> str:
    """Give a statement with PostgreSQL's own parameters: $1, $2 ..."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    return re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", statement).replace("%%", "%")


TEMPORARY = ("make_candle_input", "make_volume_input", "make_dump")
COMMANDS = re.compile(r"^(copy|create|truncate|set|lock|drop|alter|analyze|vacuum|begin|listen)\b", re.IGNORECASE)


async def test_postgresql_can_take_every_statement(database_url: str) -> None:
    refused = {}
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        for name in TEMPORARY:
            await connection.execute(statements[name])
        # What a rebuild asks of its own schema; names that are not there are found in public.
        await connection.execute("select make_rebuild('rebuild_ticks_2', '{ticks}', 1)")
        await connection.execute(statements["use_schema"].encode(), {"schema": "rebuild_ticks_2"})
        for name, statement in statements.items():
            try:
                async with connection.transaction(force_rollback=True):
                    await _take(connection, name, statement)
            except psycopg.Error as error:
                refused[name] = str(error)
    assert refused == {}


async def _take(connection: psycopg.AsyncConnection[Any], name: str, statement: str) -> None:
    if statement.lower().startswith("copy"):
        async with connection.cursor().copy(statement.encode()) as copy:
            if "stdin" in statement and "binary" in statement:
                await copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8) + b"\xff\xff")
    elif COMMANDS.match(statement):
        await connection.execute(statement.encode())
    else:
        await connection.execute(f"prepare taken_{name} as {numbered(statement)}".encode())


# Plans: each of these is asked many times a second, or over tables that grow for ever


HOT = {
    "read_checkpoint": {"projection_checkpoints"},
    "move_checkpoint": {"projection_checkpoints"},
    "renew_lease": {"projection_checkpoints"},
    "stream_number": {"streams"},
    "read_volumes": {"candle_volumes"},
    "read_old_volumes": {"candle_volumes"},
    "read_clock": {"candle_clocks"},
    "cover_loss": {"candles_1m"},
    "cover_input": {"candles_1m", "candle_uncovered"},
    "end_absences": {"candle_uncovered"},
    "api_candles_1m": {"candles_1m"},
    "api_candles_5m": {"candles_1m"},
    "api_candles_15m": {"candles_1m"},
    "api_candles_1h": {"candles_1m"},
    "api_candles_1d": {"candles_1m"},
    "api_instrument": {"instruments"},
    "api_named_instruments": {"instruments"},
    "explain_ticks": {"ticks_20260412", "ticks_20260413"},
    "explain_candles": {"candles_1m"},
}


@pytest.mark.parametrize("name", HOT)
async def test_an_index_serves_what_is_asked_often(database_url: str, name: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("select make_tick_day('2026-04-12'), make_tick_day('2026-04-13')")
        for made in TEMPORARY:
            await connection.execute(statements[made])
        # Small tables are read whole, and rightly: this asks whether an index could do it.
        await connection.execute("set enable_seqscan = off")
        cursor = await connection.execute(f"explain (generic_plan, format json) {numbered(statements[name])}".encode())
        row = await cursor.fetchone()
    assert row is not None
    assert not HOT[name] & read_whole(row[0]), json.dumps(row[0], indent=1)


def read_whole(plan: Any) -> set[str]:
    """Give the tables that are read from one end to the other."""
    if isinstance(plan, list):
        return {name for each in plan for name in read_whole(each)}
    own = {plan["Relation Name"]} if plan.get("Node Type") == "Seq Scan" else set()
    return own | read_whole(plan.get("Plans", [])) | (read_whole(plan["Plan"]) if "Plan" in plan else set())
