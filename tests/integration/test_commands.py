"""The commands that ask a running Bahi, and how each command says that something is wrong."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.psql import without_password
from runtime.settings import Settings
from tests.api_server import KEY, serving
from tests.ports import free_port


def bahi(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with these settings and no others."""
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    argv = [sys.executable, "-m", "ops.cli", *words]
    return subprocess.run(argv, env=plain | environ, capture_output=True, text=True, check=False)


async def asking(settings: Settings, *words: str, key: str = KEY) -> "subprocess.CompletedProcess[str]":
    """Run a command that asks the API of these settings, which runs meanwhile."""
    async with serving(settings) as api:
        port = str(api.parts.settings.api_port)
        data_dir = str(settings.bahi_data_dir)
        return await asyncio.to_thread(bahi, *words, BAHI_API_KEY=key, API_PORT=port, BAHI_DATA_DIR=data_dir)


def test_help_names_the_commands() -> None:
    said = bahi("--help")
    assert said.returncode == 0
    for name in ("up", "migrate", "ticks", "sync", "project", "archive", "api", "sandbox", "status"):
        assert name in said.stdout


@pytest.mark.parametrize("name", ["up", "status", "migrate", "sandbox"])
def test_each_command_has_help_without_settings(name: str) -> None:
    said = bahi(name, "--help", API_PORT="nonsense")
    assert said.returncode == 0, said.stderr
    assert f"bahi {name}" in said.stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from ops import cli; cli.main(['--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "psycopg", "redis", "litestar", "granian", "aiohttp", "kiteconnect", "structlog"}.isdisjoint(
        loaded
    )


def test_an_error_says_wanted_found_and_what_to_do(data_dir: Path) -> None:
    said = bahi("migrate", BAHI_DATA_DIR=str(data_dir))
    assert said.returncode == 2
    wanted, found, remedy = said.stderr.splitlines()
    assert wanted.startswith("bahi: wanted DATABASE_URL, or a `bahi up`")
    assert found.split()[0] == "found"
    assert remedy.split()[:2] == ["do", "start"]


def test_a_wrong_setting_is_named() -> None:
    said = bahi("up", API_PORT="nonsense")
    assert said.returncode == 2
    assert "API_PORT=nonsense" in said.stderr or "API_PORT='nonsense'" in said.stderr


def test_an_unknown_command_is_refused() -> None:
    said = bahi("fly")
    assert said.returncode == 2
    assert "fly" in said.stderr


def test_an_api_that_does_not_answer_is_said(data_dir: Path) -> None:
    port = str(free_port())
    said = bahi("instruments", "sync", BAHI_API_KEY=KEY, API_PORT=port, BAHI_DATA_DIR=str(data_dir))
    assert said.returncode == 1
    assert f"wanted the API at http://127.0.0.1:{port}" in said.stderr


def test_psql_opens_the_tables_and_hands_its_words_on(database_url: str) -> None:
    said = bahi("psql", "-Atc", "select count(*) from candles_1m", DATABASE_URL=database_url)
    assert (said.returncode, said.stdout) == (0, "0\n"), said.stderr
    refused = bahi("psql", "-c", "select nonsense", DATABASE_URL=database_url)
    assert refused.returncode == 1
    assert "nonsense" in refused.stderr


def test_the_password_is_no_argument_of_psql() -> None:
    assert without_password("postgresql://u:p%40ss@h:1/d?a=b") == ("postgresql://u@h:1/d?a=b", "p@ss")
    assert without_password("postgresql:///d") == ("postgresql:///d", "")


async def test_a_request_for_instruments_is_taken(settings: Settings) -> None:
    said = await asking(settings, "instruments", "sync", "--no-wait")
    assert said.returncode == 0, said.stderr
    assert "request 2 of requests is in the log" in said.stdout


async def test_a_wrong_key_is_refused(settings: Settings) -> None:
    said = await asking(settings, "instruments", "sync", key="guessed")
    assert said.returncode == 2
    assert "set BAHI_API_KEY" in said.stderr
