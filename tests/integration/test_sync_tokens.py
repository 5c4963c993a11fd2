"""Tokens of accounts: a refused one stops its account and no other, a new one is taken at once, a stranger's never."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from events.accounts import STREAM, Known, PullAccounts, SyncRun
from ops import login
from producers import sync
from runtime.errors import SettingError
from runtime.lifecycle import Stop
from runtime.settings import Settings
from runtime.vault import Vault
from tests.exchange import fault, log_in
from tests.patience import until_said
from tests.pollers import OWN, Bodies, known, syncing, told, until_runs, whole
from tests.tickers import Watcher, bring_token, market, nobody

MINE = '[[account]]\naccount = "mine"\nbroker = "sandbox"\nuser = "AB0001"\n'
SECOND = '[[account]]\naccount = "second"\nbroker = "sandbox"\n'


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


async def test_a_refused_token_stops_its_account_alone_until_a_new_one_lies_in_the_vault(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = msgspec.structs.replace(settings, sync_interval_seconds=1)
    async with market(settings, traders=1) as exchange, syncing(settings):
        await until_runs(watcher, 1, lambda run: run.account == "TR0001" and whole(run))
        await fault(exchange, "expire_token", user="TR0001")
        (refused,) = await until_runs(watcher, 1, lambda run: run.outcome == "refused")
        others = len([run for run in told(await watcher.all(STREAM), SyncRun) if run.account == OWN])
        await until_runs(watcher, others + 2, lambda run: run.account == OWN and whole(run))
        again = [run for run in told(await watcher.all(STREAM), SyncRun) if run.outcome == "refused"]
        assert len(again) == 1, "it rests, and is not asked for again and again"
        assert "TR0001" in capsys.readouterr().out
        await asyncio.to_thread(login.log_in, settings, "sandbox", "TR0001", None, str)
        before = len([run for run in told(await watcher.all(STREAM), SyncRun) if run.account == "TR0001"])
        runs = await until_runs(watcher, before + 1, lambda run: run.account == "TR0001")
    assert refused.account == "TR0001"
    assert {each.error_type for each in refused.kinds.values() if not each.ok} == {"refused"}
    assert whole(runs[-1])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give an accounts file that only its owner reads."""
    path = tmp_path / "accounts.toml"
    write(path, MINE + SECOND)
    return path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


async def test_accounts_of_a_file_are_told_of_and_what_is_taken_out_is_pulled_no_more(
    settings: Settings, watcher: Watcher, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = msgspec.structs.replace(settings, accounts_file=file)
    async with market(settings, traders=2), syncing(settings):
        await until_runs(watcher, 1, lambda run: run.account == "mine" and whole(run))
        await until_runs(watcher, 1, lambda run: run.account == "second" and whole(run))
        await watcher.until(lambda heard: "SB0001" in [each.user for each in told(heard, Known)], STREAM)
        assert {name: each.user for name, each in (await known(watcher)).items()} == {"mine": "AB0001", "second": OWN}
        write(file, "[[account]]\naccount = 5\n")
        await until_said(capsys, "accounts.file_refused")
        assert all(each.active for each in (await known(watcher)).values()), "they stay as they were"
        write(file, MINE)
        await watcher.until(lambda heard: not all(each.active for each in told(heard, Known)), STREAM)
    assert {name: each.active for name, each in (await known(watcher)).items()} == {"mine": True, "second": False}
    assert ("mine", "orders") in Bodies(await watcher.all(STREAM)).last


async def test_a_token_of_another_customer_is_refused_and_nothing_of_it_kept(
    settings: Settings, watcher: Watcher, file: Path
) -> None:
    settings = msgspec.structs.replace(settings, accounts_file=file)
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        stranger = await log_in(exchange)
        async with syncing(settings):
            await until_runs(watcher, 2, whole)
            Vault(settings.bahi_data_dir).put("accounts/mine/access_token", stranger)
            await watcher.say("requests", PullAccounts(accounts=["mine"], key="a"))
            (run,) = await until_runs(watcher, 1, lambda run: run.trigger == "request")
    assert (run.outcome, run.account) == ("refused", "mine")
    assert "one of SB0001" in run.error
    assert not any(each.ok for each in run.kinds.values())


async def test_one_customer_under_two_names_is_pulled_once(settings: Settings, watcher: Watcher, file: Path) -> None:
    write(file, SECOND + SECOND.replace("second", "third"))
    settings = msgspec.structs.replace(settings, accounts_file=file)
    async with market(settings), syncing(settings):
        runs = await until_runs(watcher, 2)
    assert sorted(run.outcome for run in runs) == ["ok", "refused"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nonsense", "no TOML"),
        ("", "account"),
        ("[[account]]\naccount = 'a'", "broker"),
        ("[[account]]\naccount = 'a'\nbroker = 'kite'", "a of 'kite'"),
        ("[[account]]\naccount = '../a'\nbroker = 'sandbox'", "../a"),
        ("[[account]]\naccount = 'a'\nbroker = 'sandbox'\napi_sekret = 'hidden'", "api_sekret"),
        (SECOND + SECOND, "'second' twice"),
        (MINE + MINE.replace("mine", "yours"), "'AB0001' twice"),
    ],
)
async def test_a_wrong_file_stops_the_worker_at_its_start(
    settings: Settings, file: Path, text: str, found: str
) -> None:
    write(file, text)
    with pytest.raises(SettingError, match=r"accounts\.toml") as caught:
        await sync.run(msgspec.structs.replace(settings, accounts_file=file), Stop(), nobody)
    assert found in caught.value.found
    assert "hidden" not in str(caught.value)


async def test_a_file_that_others_can_read_is_said(
    settings: Settings, watcher: Watcher, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(file, SECOND, 0o644)
    async with market(settings), syncing(msgspec.structs.replace(settings, accounts_file=file)):
        await until_said(capsys, "accounts.file_open_to_others")


async def test_no_event_holds_a_secret(settings: Settings, watcher: Watcher, file: Path) -> None:
    write(file, MINE + 'api_secret = "sandbox-secret"\n' + SECOND)
    settings = msgspec.structs.replace(settings, accounts_file=file)
    async with market(settings), syncing(settings):
        await until_runs(watcher, 2, whole)
        heard = b"".join(each.payload for each in await watcher.all(STREAM))
    vault = Vault(settings.bahi_data_dir)
    tokens = [vault.get(f"accounts/{name}/access_token") for name in ("mine", "second")]
    for secret in ["sandbox-secret", *(each[0] for each in tokens if each)]:
        assert secret.encode() not in heard
    assert vault.get("customers/sandbox/AB0001/api_secret") == ("sandbox-secret", 1)


# ---- a real broker's one account, which here is the sandbox under its name -------------------------------------------


async def test_the_one_account_of_a_real_broker_has_a_name_that_lasts_and_takes_the_tickers_token(
    settings: Settings, watcher: Watcher
) -> None:
    async with market(settings, traders=2) as exchange:
        root = f"127.0.0.1:{exchange.port}"
        kite = msgspec.structs.replace(
            settings,
            broker=("kite",),
            kite_api_key="sandbox",
            kite_api_secret="the-apps-own",
            kite_api_root=f"http://{root}",
            kite_ws_root=f"ws://{root}",
        )
        async with syncing(kite):
            (run,) = await until_runs(watcher, 1)
            assert (run.account, run.outcome, run.kinds["orders"].tries) == ("kite", "refused", 0)
            await watcher.until(lambda heard: [each.user for each in told(heard, Known)] == [""], STREAM)
            Vault(settings.bahi_data_dir).put("kite/access_token", await log_in(exchange))
            await until_runs(watcher, 1, whole)
            await watcher.until(lambda heard: [each.user for each in told(heard, Known)] == ["", OWN], STREAM)
        vault = Vault(settings.bahi_data_dir)
        assert list(await known(watcher)) == ["kite"]
        async with syncing(msgspec.structs.replace(kite, kite_access_token="of yesterday")):
            await until_runs(watcher, 2, whole)
            assert vault.get(f"customers/kite/{OWN}/api_secret") == ("the-apps-own", 1)


async def test_a_token_in_the_settings_is_taken_where_the_vaults_is_refused(
    settings: Settings, watcher: Watcher
) -> None:
    async with market(settings) as exchange:
        kite = msgspec.structs.replace(
            settings,
            broker=("kite",),
            kite_api_key="sandbox",
            kite_access_token=await log_in(exchange),
            kite_api_root=f"http://127.0.0.1:{exchange.port}",
        )
        Vault(settings.bahi_data_dir).put("kite/access_token", "of-yesterday")
        async with syncing(kite):
            runs = await until_runs(watcher, 2)
    assert [run.outcome for run in runs] == ["refused", "ok"]
