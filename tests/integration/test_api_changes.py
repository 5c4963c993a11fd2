"""What changed in the accounts: pages of it, and the same live over websocket and server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from api.accounts import following
from events import cursor as cursors
from projectors.accounts.projector import ACCOUNTS
from runtime import metrics
from runtime.settings import Settings
from tests.account_log import AccountLog, a_day, order, trade
from tests.api_server import KEY, Api, serving
from tests.loops import Desk
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

Row = dict[str, Any]
Socket = aiohttp.ClientWebSocketResponse[bool]
PATH = "/api/ws/accounts"


class Account:
    """A log of accounts that is projected bit by bit."""

    def __init__(self, desk: Desk, log: AccountLog) -> None:
        self.desk, self.log, self._done = desk, log, 0
        self._trades: dict[str, list[object]] = {}

    async def project(self) -> None:
        """Put what the log has gained into the tables."""
        await self.desk.project(ACCOUNTS, self.log.events[self._done :])
        self._done = len(self.log.events)

    async def trade(self, first: int, count: int, account: str = "main") -> None:
        """Have an account trade so often, by these numbers: each trade is a change."""
        told = self._trades.setdefault(account, [])
        told += [trade(f"{n:05}") for n in range(first, first + count)]
        self.log.snapshot(account, "trades", told, _clock(first))
        await self.project()

    async def keys(self) -> list[str]:
        """Give all changes of the table, in their order."""
        return [str(row["key"]) for row in await self.desk.rows("select key from account_changes order by cursor")]


def _clock(n: int) -> str:
    return f"{10 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}"


@pytest.fixture
def account(settings: Settings, tmp_path: Path) -> Account:
    assert settings.database_url is not None
    return Account(Desk(settings.database_url, tmp_path), AccountLog())


async def get(api: Api, status: int = 200, **query: str | int) -> Row:
    return await api.get("/changes", query, status)


async def said(socket: Socket, kind: str) -> Row:
    """Give the next message, which is of this kind."""
    message: Row = await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS)
    assert message["type"] == kind, message
    return message


async def subscribe(socket: Socket, **asked: object) -> str:
    await socket.send_json({"action": "subscribe", **asked})
    return str((await said(socket, "subscribed"))["cursor"])


async def heard(socket: Socket, count: int) -> tuple[list[str], str]:
    """Give the keys of the next `count` changes, over as many messages as they take, and the last cursor."""
    keys: list[str] = []
    place = ""
    while len(keys) < count:
        message = await said(socket, "changes")
        keys += [each["key"] for each in message["changes"]]
        place = message["cursor"]
    assert len(keys) == count
    return keys, place


async def test_changes_are_walked_once_each_and_in_order(settings: Settings, account: Account) -> None:
    account.log = a_day()
    await account.project()
    wanted = await account.keys()
    async with serving(settings) as api:
        found, place, more = [], "", True
        while more:
            page = await get(api, limit=3, since=place)
            found += page["changes"]
            place, more = page["cursor"], page["next"] is not None
            assert page["next"] in (None, place)
        assert [each["key"] for each in found] == wanted
        assert len({each["cursor"] for each in found}) == len(wanted)
        added = found[0]
        assert (added["account_id"], added["kind"], added["change"], added["before"]) == (
            "main",
            "orders",
            "added",
            None,
        )
        assert added["after"]["price"] == 1500.5
        assert await get(api, since=place) == {"changes": [], "cursor": place, "next": None}
        # The cursor of a change stands behind that very change, in the middle of its event.
        rest = await get(api, since=found[0]["cursor"], limit=5000)
        assert [each["key"] for each in rest["changes"]] == wanted[1:]


async def test_changes_are_filtered_and_the_cursor_moves_on_all_the_same(settings: Settings, account: Account) -> None:
    account.log = a_day()
    await account.project()
    async with serving(settings) as api:
        others = await get(api, account="other", kind="trades,margins", limit=5000)
        assert {(each["account_id"], each["kind"]) for each in others["changes"]} == {
            ("other", "trades"),
            ("other", "margins"),
        }
        assert others["cursor"] == (await get(api, limit=5000))["cursor"]
        await get(api, 404, account="nobody")
        await get(api, 400, kind="ticks")
        await get(api, 400, limit=5001)


async def test_now_gives_only_a_cursor(settings: Settings, account: Account) -> None:
    async with serving(settings) as api:
        before = await get(api, since="now")
        assert before["changes"] == []
        await account.trade(1, 2)
        assert len((await get(api, since=before["cursor"]))["changes"]) == 2
        now = await get(api, since="now")
        assert (now["changes"], now["next"]) == ([], None)
        assert (await get(api, since=now["cursor"]))["changes"] == []


@pytest.mark.parametrize(
    "word",
    ["x!", "eyJ", cursors.to_word({"ticks-sandbox-1": 5}), cursors.to_word({"account-changes": 1 << 50})],
)
async def test_what_is_no_cursor_of_this_log_is_refused(settings: Settings, account: Account, word: str) -> None:
    await account.trade(1, 1)
    async with serving(settings) as api:
        assert "cursor" in str((await get(api, 400, since=word))["detail"])
        async with api.client.get("/api/sse/accounts", params={"since": word}) as answer:
            assert answer.status == 400
        async with api.client.ws_connect(PATH) as socket:
            await socket.send_json({"action": "subscribe", "since": word})
            assert "cursor" in (await said(socket, "error"))["detail"]


async def test_a_cursor_is_good_after_the_tables_were_made_again(
    settings: Settings, account: Account, tmp_path: Path
) -> None:
    account.log = a_day()
    await account.project()
    async with serving(settings) as api:
        first = await get(api, limit=4)
        rest = (await get(api, since=first["cursor"]))["changes"]
        tables = ", ".join(ACCOUNTS.tables)
        await account.desk.rows(f"truncate {tables}; delete from projection_checkpoints; delete from parked_events")
        again = Account(Desk(account.desk.database_url, tmp_path / "again"), account.log)
        await again.project()
        assert (await get(api, since=first["cursor"]))["changes"] == rest


async def test_changes_come_live_and_a_cursor_brings_back_what_was_missed(settings: Settings, account: Account) -> None:
    await account.trade(1, 3)
    async with serving(settings) as api:
        async with api.client.ws_connect(PATH) as socket:
            await subscribe(socket)  # from now on
            await account.trade(10, 2)
            keys, place = await heard(socket, 2)
            assert keys == (await account.keys())[3:]
        await account.trade(20, 450)
        async with api.client.ws_connect(PATH) as socket:
            assert await subscribe(socket, since=place) == place
            missed, _ = await heard(socket, 450)
            await account.trade(500, 3)
            live, _ = await heard(socket, 3)
            assert missed + live == (await account.keys())[5:]
            await subscribe(socket, since="")  # the whole connection goes back to the beginning
            assert (await heard(socket, 458))[0] == await account.keys()


async def test_a_live_client_hears_what_it_wishes_and_no_more(settings: Settings, account: Account) -> None:
    await account.trade(1, 1, "main")
    await account.trade(2, 1, "other")
    async with serving(settings) as api, api.client.ws_connect(PATH) as socket:
        await subscribe(socket, account="other", kinds=["orders"], since="")
        account.log.snapshot("other", "orders", [order("7")], "12:00:00")
        await account.trade(20, 2, "other")
        assert (await heard(socket, 1))[0] == ["7"]
        await socket.send_json({"action": "unsubscribe"})
        await said(socket, "unsubscribed")
        for wrong in ({"action": "sing"}, {"action": "subscribe", "kinds": ["ticks"]}, {"since": ""}):
            await socket.send_json(wrong)
            assert "wanted" in (await said(socket, "error"))["detail"]
        await socket.send_json({"action": "subscribe", "account": "nobody"})
        assert "'nobody'" in (await said(socket, "error"))["detail"]
        assert len((await subscribe(socket, since="")) or "") > 0
        assert len((await heard(socket, 5))[0]) == 5


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """Give the server-sent events of an answer until it ends; comments are left out."""
    held: dict[str, str] = {}
    async for line in answer.content:
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        if name:
            held[name] = value
            continue
        if held.get("event"):
            yield held
        held = {}


async def test_the_same_comes_as_server_sent_events_and_resumes_by_their_id(
    settings: Settings, account: Account
) -> None:
    await account.trade(1, 3)
    async with serving(settings) as api:
        async with api.client.get("/api/sse/accounts", params={"kind": "trades"}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            stream = events(answer)
            first = await asyncio.wait_for(anext(stream), PATIENCE_SECONDS)
            assert (first["event"], first["retry"]) == ("subscribed", "2000")
            await account.trade(10, 2)
            second = await asyncio.wait_for(anext(stream), PATIENCE_SECONDS)
            told = msgspec.json.decode(second["data"])
            assert (second["event"], told["type"], told["cursor"]) == ("changes", "changes", second["id"])
            assert [each["key"] for each in told["changes"]] == (await account.keys())[3:]
        await account.trade(20, 300)
        resumed = {"last-event-id": first["id"]}
        async with api.client.get("/api/sse/accounts", params={"since": "now"}, headers=resumed) as answer:
            keys: list[str] = []
            async for event in events(answer):
                if event["event"] == "changes":
                    keys += [each["key"] for each in msgspec.json.decode(event["data"])["changes"]]
                if len(keys) >= 302:
                    break
            assert keys == (await account.keys())[3:]


async def test_a_stop_ends_all_live_clients_at_once(settings: Settings, account: Account) -> None:
    await account.trade(1, 1)
    async with (
        serving(settings) as api,
        api.client.ws_connect(PATH) as socket,
        api.client.get("/api/sse/accounts") as answer,
    ):
        await subscribe(socket)
        stream = events(answer)
        await anext(stream)
        api.stop.set()
        closing = await asyncio.wait_for(socket.receive(), PATIENCE_SECONDS)
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        assert [event async for event in stream] == []


async def test_no_more_clients_are_taken_than_can_be_served(
    settings: Settings, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await account.trade(1, 1)
    monkeypatch.setattr(following, "CLIENTS_MAX", 1)
    async with serving(settings) as api:
        async with api.client.ws_connect(PATH) as socket:
            await subscribe(socket)
            async with api.client.ws_connect(PATH) as other:
                closing = await asyncio.wait_for(other.receive(), PATIENCE_SECONDS)
                assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1013)
            async with api.client.get("/api/sse/accounts") as answer:
                assert answer.status == 503
        async with asyncio.timeout(PATIENCE_SECONDS):  # the one that went has made room
            while True:
                async with api.client.get("/api/sse/accounts") as answer:
                    if answer.status == 200:
                        break


async def test_a_client_that_does_not_read_slows_itself_and_goes_when_it_goes(
    settings: Settings, account: Account
) -> None:
    await account.trade(1, 1)
    count = 20_000  # 30 MB: more than sockets hold
    await account.desk.rows(
        "insert into account_changes select n, 'main', 'orders', n, 'added', null,"
        " jsonb_build_object('told', repeat('x', 1500)), now() from generate_series(1, %s) n",
        count,
    )

    def sent() -> float:
        return metrics.REGISTRY.get_sample_value("bahi_account_changes_sent_total") or 0.0

    async with serving(settings) as api:
        before = sent()
        async with api.client.ws_connect(PATH) as other, api.client.get("/api/sse/accounts?since=") as answer:
            await subscribe(other)
            await account.trade(7000, 1)  # behind all the others: who follows it has been served past the slow one
            await heard(other, 1)
            assert sent() - before < count / 2
            assert not answer.content.at_eof()
            keys = [
                each["key"]
                async for event in some(events(answer), 1 + -(-count // following.CHANGES_MAX))
                if event["event"] == "changes"
                for each in msgspec.json.decode(event["data"])["changes"]
            ]
            assert keys[:count] == [str(n) for n in range(1, count + 1)]
        reader, writer = await asyncio.open_connection("127.0.0.1", api.parts.settings.api_port, limit=1024)
        writer.write(
            f"GET /api/sse/accounts?since= HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n".encode()
        )
        await reader.readline()
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (metrics.REGISTRY.get_sample_value("bahi_account_clients") or 0) > 0:
                await api.get("/health")


async def some(stream: AsyncIterator[dict[str, str]], count: int) -> AsyncIterator[dict[str, str]]:
    """Give the first `count` of a stream."""
    for _ in range(count):
        yield await asyncio.wait_for(anext(stream), PATIENCE_SECONDS)


async def test_the_newest_changes_come_first_first_with_the_cursor_to_go_on_from(
    settings: Settings, account: Account
) -> None:
    account.log = a_day()
    await account.project()
    wanted = await account.keys()
    async with serving(settings) as api:
        page = await get(api, newest=3)
        assert [each["key"] for each in page["changes"]] == wanted[-3:]
        assert page["next"] is None
        assert (await get(api, since=page["cursor"]))["changes"] == []
        assert [each["key"] for each in (await get(api, newest=5000))["changes"]] == wanted
        of_trades = await get(api, newest=1, kind="trades")
        assert [each["kind"] for each in of_trades["changes"]] == ["trades"]
        await get(api, 400, newest=3, since="now")
        await get(api, 400, newest=0)


async def test_changes_are_closed_to_strangers_and_open_by_ticket_and_session(
    settings: Settings, account: Account
) -> None:
    await account.trade(1, 1)
    async with (
        serving(settings) as api,
        aiohttp.ClientSession(api.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as stranger,
    ):
        for path in ("/changes", "/api/sse/accounts", "/accounts", "/sync/status"):
            async with stranger.get(path) as answer:
                assert answer.status == 401, path
        for ticket in ("", "?ticket=made-up"):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await stranger.ws_connect(PATH + ticket)
        async with api.client.post("/api/ws/ticket") as answer:
            ticket = (await answer.json())["ticket"]
        async with stranger.ws_connect(f"{PATH}?ticket={ticket}") as socket:
            await subscribe(socket, since="")
            await heard(socket, 1)
        async with stranger.post("/api/session", json={"key": KEY}) as answer:
            assert answer.status == 201
        async with stranger.get("/api/sse/accounts") as answer:  # as a browser's EventSource: by cookie
            assert answer.status == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
