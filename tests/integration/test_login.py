"""bahi login: a token from the sandbox, from Kite's page, or from elsewhere comes into the vault."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ops import login
from ops.sandbox.server import Exchange
from producers.kite.address import address
from producers.kite.rest import Rest
from runtime.errors import BadInput, SettingError, TokenRefused, Unreachable
from runtime.settings import Settings, load
from runtime.vault import Vault
from tests.exchange import call, exchange, root
from tests.ports import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Exchange]:
    async with exchange(tmp_path / "sandbox", driven=False) as running:
        yield running


def sandbox(running: Exchange, data_dir: Path) -> Settings:
    return load({"BAHI_DATA_DIR": str(data_dir), "BAHI_SANDBOX_PORT": str(running.port)})


def kite(running: Exchange, data_dir: Path, **more: str) -> Settings:
    """Give the settings of somebody who takes the sandbox for Kite."""
    own = {"BAHI_DATA_DIR": str(data_dir), "BROKER": "kite", "KITE_API_ROOT": root(running), "KITE_API_KEY": "mine"}
    return load({**own, **more})


async def enter(settings: Settings, broker: str, *, typed: str = "", **more: str | None) -> int:
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return typed

    version = await asyncio.to_thread(login.log_in, settings, broker, more.get("account"), more.get("token"), ask)
    assert bool(asked) == bool(typed)
    assert all("kite.zerodha.com/connect/login?api_key=mine" in text for text in asked)
    return version


async def opens(settings: Settings, broker: str) -> bool:
    """Say whether the vault's token is good for the instruments dump."""
    held = Vault(settings.bahi_data_dir).get(f"{broker}/access_token")
    assert held
    return bool(await asyncio.to_thread(Rest(address(settings, broker), held[0]).instruments))


async def request_token(running: Exchange, api_key: str) -> str:
    _, answer = await call(running, "POST", f"/sandbox/login?api_key={api_key}")
    token: str = answer["data"]["request_token"]
    return token


async def test_the_sandbox_needs_nothing(market: Exchange, tmp_path: Path) -> None:
    settings = sandbox(market, tmp_path)
    assert await enter(settings, "sandbox") == 1
    assert await opens(settings, "sandbox")
    assert await enter(settings, "sandbox") == 2


@pytest.mark.parametrize("form", ["{}", "http://127.0.0.1:8000/?action=login&status=success&request_token={}", " {}\n"])
async def test_kites_answer_is_exchanged_in_whatever_form_it_is_pasted(
    market: Exchange, tmp_path: Path, form: str
) -> None:
    settings = kite(market, tmp_path, KITE_API_SECRET="sandbox-secret")
    await enter(settings, "kite", typed=form.format(await request_token(market, "mine")))
    assert await opens(settings, "kite")


async def test_a_wrong_request_token_is_refused(market: Exchange, tmp_path: Path) -> None:
    settings = kite(market, tmp_path, KITE_API_SECRET="sandbox-secret")
    with pytest.raises(TokenRefused):
        await enter(settings, "kite", typed="guessed")
    assert Vault(tmp_path).get("kite/access_token") is None


async def test_kite_without_its_secret_says_so(market: Exchange, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="KITE_API_SECRET"):
        await enter(kite(market, tmp_path), "kite")


async def test_kite_while_the_sandbox_is_the_broker_says_so(market: Exchange, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="BROKER=kite"):
        await enter(sandbox(market, tmp_path), "kite")


async def test_a_sandbox_that_does_not_run_is_said(tmp_path: Path) -> None:
    settings = load({"BAHI_DATA_DIR": str(tmp_path), "BAHI_SANDBOX_PORT": str(free_port())})
    with pytest.raises(Unreachable):
        await enter(settings, "sandbox")


async def test_a_token_that_was_had_elsewhere_is_kept(tmp_path: Path) -> None:
    settings = load({"BAHI_DATA_DIR": str(tmp_path)})
    await enter(settings, "kite", token=" word \n")
    await enter(settings, "kite", token="other", account="AB1234")
    assert Vault(tmp_path).get("kite/access_token") == ("word", 1)
    assert Vault(tmp_path).get("accounts/AB1234/access_token") == ("other", 1)


@pytest.mark.parametrize("token", ["", " \n", "two words", "x" * 1000])
async def test_what_is_no_token_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(BadInput):
        await enter(load({"BAHI_DATA_DIR": str(tmp_path)}), "kite", token=token)


@pytest.mark.parametrize(("broker", "account"), [("zerodha", None), ("kite", "../up"), ("kite", "a b")])
async def test_a_broker_or_account_that_cannot_be_is_refused(tmp_path: Path, broker: str, account: str | None) -> None:
    with pytest.raises(BadInput):
        await enter(load({"BAHI_DATA_DIR": str(tmp_path)}), broker, token="word", account=account)


def test_an_address_that_says_failure_is_refused() -> None:
    with pytest.raises(BadInput):
        login.request_token("http://127.0.0.1:8000/?status=cancelled")


def test_the_command_reads_the_token_from_standard_input(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "BAHI_DATA_DIR": str(tmp_path)}
    argv = [sys.executable, "-m", "ops.cli", "login", "kite", "--token", "-"]
    said = subprocess.run(argv, env=environ, input="word\n", capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout == "the access token of kite is in the vault, version 1\n"
    assert Vault(tmp_path).get("kite/access_token") == ("word", 1)


def test_a_vault_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99\n")
    with pytest.raises(SettingError, match="found version '99'"):
        login.log_in(load({"BAHI_DATA_DIR": str(tmp_path)}), "sandbox", None, "brought", str)
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == ["VERSION"]


async def test_an_account_with_an_app_of_its_own_logs_in_with_its_own_secret(market: Exchange, tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    row = '[[account]]\naccount = "ravi"\nbroker = "kite"\napi_key = "mine"\napi_secret = "sandbox-secret"\n'
    await asyncio.to_thread(file.write_text, row)
    settings = kite(market, tmp_path, KITE_API_KEY="another", KITE_API_SECRET="another", ACCOUNTS_FILE=str(file))
    _, answer = await call(market, "POST", "/sandbox/login?api_key=mine")
    assert await enter(settings, "kite", account="ravi", typed=answer["data"]["request_token"]) == 1
    assert Vault(tmp_path).get("accounts/ravi/access_token") is not None
    with pytest.raises(TokenRefused):
        await enter(settings, "kite", account="ravi", typed="none")


async def test_a_user_that_the_sandbox_cannot_have_is_refused_for_good(market: Exchange, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="two letters and four digits"):
        await enter(sandbox(market, tmp_path), "sandbox", account="NOBODY")
