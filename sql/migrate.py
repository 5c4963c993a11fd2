"""Bring the database up to date: numbered files, each once, in order, under a lock, with their checksums.

`NNNN_name.sql` runs everywhere; of `NNNN_name.plain.sql` and `NNNN_name.timescale.sql` the one that fits. Each file
and its line in `bahi_migrations` commit together. A file that was changed after it ran stops the command.
"""

import hashlib
import re
from importlib.resources import files
from typing import Any, LiteralString

import msgspec
from psycopg import errors

from runtime.errors import SettingError
from sql.pool import Connection, connect, reaching
from sql.statements import statements

SERVER_MIN = 15
TIMESCALE_MIN = (2, 21)  # the first that attaches a table as a chunk
TAKEN = (errors.DuplicateTable, errors.DuplicateObject, errors.DuplicateFunction, errors.WrongObjectType)
EDITIONS = {"timescale": "Community", "apache": "Apache edition"}


class Migration(msgspec.Struct, frozen=True):
    """One file: its number, name, flavour ('' for both) and text."""

    number: int
    name: str
    flavour: str
    text: LiteralString

    @property
    def sha256(self) -> str:
        """Checksum of the text, which must not change once it ran anywhere."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class Report(msgspec.Struct, frozen=True):
    """What `run` found and did. timescale: its version and edition, None without it."""

    server: str
    flavour: str
    timescale: str | None
    applied: list[str]
    version: int


def migrations(flavour: str) -> list[Migration]:
    """Give all files for a flavour, in order."""
    found = []
    for file in files("sql").joinpath("migrations").iterdir():
        number, _, rest = file.name.removesuffix(".sql").partition("_")
        name, _, of = rest.partition(".")
        if file.name.endswith(".sql") and of in ("", flavour):
            found.append(Migration(int(number), name, of, file.read_text("utf-8")))
    found.sort(key=lambda each: each.number)
    assert [each.number for each in found] == list(range(1, len(found) + 1)), "numbers are dense"
    return found


async def run(database_url: str) -> Report:
    """Apply what is missing. Raises SettingError for a server or a database that does not fit, Unreachable."""
    connection = await connect(database_url)
    try:
        async with reaching("the migrations"):
            return await _run(connection)
    finally:
        await connection.close()


async def _run(connection: Connection) -> Report:
    server = await _one(connection, "server_version")
    if int(server["number"]) < SERVER_MIN * 10000:
        raise SettingError(f"PostgreSQL {SERVER_MIN} or later", server["version"], "point DATABASE_URL at a newer one")
    timescale = _timescale(server)
    flavour = "timescale" if timescale else "plain"
    applied = []
    async with connection.transaction():
        await connection.execute(statements["lock_migrations"])
        await connection.execute(statements["make_migrations"])
        rows = await (await connection.execute(statements["read_migrations"])).fetchall()
        done = {row["number"]: row for row in rows}
        wanted = migrations(flavour)
        _compare(done, wanted)
        for each in wanted:
            if each.number not in done:
                await _apply(connection, each)
                keep = {"number": each.number, "name": each.name, "flavour": flavour, "sha256": each.sha256}
                await connection.execute(statements["keep_migration"], keep)
                applied.append(f"{each.number:04d}_{each.name}")
    return Report(server["version"], flavour, timescale, applied, len(wanted))


async def _apply(connection: Connection, each: Migration) -> None:
    """Run one file. Raises SettingError where something of its names is there that no migration made."""
    try:
        await connection.execute(each.text)
    except TAKEN as error:
        raise SettingError(
            "a database that has no tables of others, or those that Bahi made",
            str(error).splitlines()[0],
            "nothing was changed: make a database for Bahi alone (CREATE DATABASE bahi) and name it in DATABASE_URL",
        ) from error


def _timescale(server: dict[str, str | None]) -> str | None:
    found = server["timescale"]
    if found is None:
        return None
    numbers = tuple(int(each) for each in re.findall(r"\d+", found)[:2])
    if numbers < TIMESCALE_MIN:
        wanted = "TimescaleDB {}.{} or later".format(*TIMESCALE_MIN)
        raise SettingError(wanted, found, "update the extension, or point DATABASE_URL at another server")
    return f"{found} {EDITIONS.get(server['license'] or '', server['license'])}"


def _compare(done: dict[int, dict[str, str]], wanted: list[Migration]) -> None:
    known = {each.number: each for each in wanted}
    for number, row in done.items():
        if number not in known:
            raise SettingError(
                f"a database at version {len(wanted)} or earlier",
                f"version {number}",
                "update Bahi: a newer one was here",
            )
        if known[number].sha256 != row["sha256"]:
            raise SettingError(
                f"migration {number:04d}_{row['name']} as it ran ({row['flavour']})",
                "a file with another checksum",
                "check out the version of Bahi that made this database, or start with a new one",
            )


async def version(database_url: str) -> int | None:
    """Give the number of the last migration that ran, None in an empty database. Raises Unreachable."""
    connection = await connect(database_url)
    try:
        async with reaching("the version"):
            row = await _one(connection, "database_version")
            return None if row["known"] is None else int((await _one(connection, "last_migration"))["number"])
    finally:
        await connection.close()


async def _one(connection: Connection, statement: str) -> dict[str, Any]:
    row = await (await connection.execute(statements[statement])).fetchone()
    assert row is not None, "these statements always give a row"
    return row
