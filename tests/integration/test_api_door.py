"""The door: closed to everyone but who has the key, a session, or a ticket; closed to other sites and false names."""

import asyncio
import hashlib

import aiohttp
import msgspec
import pytest
from litestar.routes import HTTPRoute

from api.app import create_app
from api.door import LOGIN_PATH, OPEN_PATHS, POSTBACK_PATH, Door
from api.login_code import LoginCode
from runtime.clock import NS_PER_SECOND, SystemClock
from runtime.settings import Settings
from tests.api_server import KEY, Api, feeding, full_frame, serving
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

CODE = "a-code-of-one-time"
OPEN_POSTS = {("POST", LOGIN_PATH), ("POST", POSTBACK_PATH)}
INFY = 408065


def put_code(settings: Settings, seconds: float = 600) -> None:
    """Write the file that `bahi up` writes."""
    held = LoginCode(hashlib.sha256(CODE.encode()).hexdigest(), SystemClock().now_ns() + round(seconds * NS_PER_SECOND))
    folder = settings.bahi_data_dir / "run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "login_code").write_bytes(msgspec.json.encode(held))


def routes(door: Door) -> list[tuple[str, str]]:
    """Give every path with every method; path parameters are filled in."""
    found: list[tuple[str, str]] = []
    for route in door.inside.routes:  # type: ignore[attr-defined]  # the framework's application, behind ASGI's type
        assert isinstance(route, HTTPRoute), route
        path = route.path.replace("{token:int}", "1").replace("{name:str}", "app.js")
        found += [(method, path) for method in route.methods if method != "OPTIONS"]
    return found


def stranger(api: Api) -> aiohttp.ClientSession:
    """Give a client without the key."""
    return aiohttp.ClientSession(api.url, cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_everything_is_closed_but_health_the_shell_and_the_login(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        walked = [*routes(create_app(api.parts)), ("GET", "/no/such/path"), ("GET", "/api/latest/408065")]
        for method, path in walked:
            async with client.request(method, path) as answer:
                is_open = path in OPEN_PATHS or path.startswith("/web/") or (method, path) in OPEN_POSTS
                assert (answer.status != 401) == is_open, f"{method} {path}: {answer.status}"
                if not is_open:
                    assert "Authorization" in (await answer.json())["detail"]
        assert len(walked) > 20


async def test_every_answer_has_the_security_headers(settings: Settings) -> None:
    async with feeding(settings) as feed, serving(settings) as api:
        await feed.frames(full_frame(INFY, 1412.95))
        await api.parts.live.moved(5)
        for path in ("/", "/health", "/web/app.js", "/api/status", f"/api/latest/{INFY}", "/nowhere"):
            async with api.client.get(path) as answer:
                policy = answer.headers.getall("content-security-policy")
                assert len(policy) == 1
                assert "default-src 'none'" in policy[0]
                assert "unsafe" not in policy[0]
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "server" in answer.headers


async def test_a_wrong_key_is_refused(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        for header in ("", "Bearer", "Bearer wrong", f"bearer {KEY}x", f"Basic {KEY}"):
            async with client.get("/api/status", headers={"authorization": header}) as answer:
                assert answer.status == 401
                assert answer.headers["www-authenticate"] == "Bearer"
        async with client.get("/api/status", params={"key": KEY, "token": KEY}) as answer:
            assert answer.status == 401, "no key in a URL opens anything"


async def test_the_code_opens_a_session_once(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        put_code(settings)
        async with client.post("/api/session", json={"code": "wrong"}) as answer:
            assert answer.status == 401
        async with client.post("/api/session", json={"code": CODE}) as answer:
            assert answer.status == 201
            cookie = answer.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
        async with client.get("/api/status") as answer:
            assert answer.status == 200
        async with stranger(api) as second, second.post("/api/session", json={"code": CODE}) as answer:
            assert answer.status == 401
        async with client.delete("/api/session") as answer:
            assert answer.status == 204
        async with client.get("/api/status") as answer:
            assert answer.status == 401


async def test_a_code_that_is_over_opens_nothing(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        put_code(settings, seconds=-1)
        async with client.post("/api/session", json={"code": CODE}) as answer:
            assert answer.status == 401
            assert "over" in (await answer.json())["detail"]


async def test_the_key_opens_a_session_and_nonsense_gets_a_clear_error(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        for body, status in (
            ({}, 400),
            ({"key": "x", "code": "y"}, 400),
            ({"password": "x"}, 400),
            ({"key": "x"}, 401),
        ):
            async with client.post("/api/session", json=body) as answer:
                assert answer.status == status, await answer.text()
                assert (await answer.json())["detail"]
        async with client.post("/api/session", json={"key": KEY}) as answer:
            assert answer.status == 201
        async with client.get("/api/session") as answer:
            assert answer.status == 200


async def test_a_forged_or_old_session_is_refused(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        good = api.parts.keys.make_session()
        expiry, _, rest = good.partition(".")
        forged = (f"{int(expiry) + 1}.{rest}", f"{good[:-1]}{'0' if good[-1] != '0' else '1'}", "x", "..", good + "0")
        for word in forged:
            async with client.get("/api/status", headers={"cookie": f"bahi_session={word}"}) as answer:
                assert answer.status == 401, word
        async with client.get("/api/status", headers={"cookie": f"a=b; bahi_session={good}"}) as answer:
            assert answer.status == 200


async def test_another_site_cannot_use_the_browsers_session(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        headers = {"cookie": f"bahi_session={api.parts.keys.make_session()}"}
        for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"):
            async with client.post("/api/ws/ticket", headers={**headers, "origin": origin}) as answer:
                assert answer.status == 403, origin
        async with client.post("/api/ws/ticket", headers={**headers, "origin": api.url}) as answer:
            assert answer.status == 201


async def test_a_false_name_is_refused_and_an_address_is_not(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        port = api.parts.settings.api_port
        for host, status in (
            (f"evil.example:{port}", 421),
            (f"127.0.0.1.evil.example:{port}", 421),
            ("", 421),
            (f"localhost:{port}", 200),
            (f"127.0.0.1:{port}", 200),
            (f"[::1]:{port}", 200),
            ("192.168.1.7", 200),
        ):
            async with client.get("/health", headers={"host": host}) as answer:
                assert answer.status == status, host


async def test_further_names_of_ours_are_set(settings: Settings) -> None:
    named = msgspec.structs.replace(settings, api_names=("bahi.example.org",))
    async with serving(named) as api, stranger(api) as client:
        session = {"cookie": f"bahi_session={api.parts.keys.make_session()}"}
        for host, status in (("Bahi.example.org", 200), ("bahi.example.org:443", 200), ("evil.example.org", 421)):
            async with client.get("/api/status", headers={**session, "host": host}) as answer:
                assert answer.status == status, host
        async with client.get("/", headers={"host": "evil.example.org"}) as answer:
            assert "API_NAMES" in (await answer.json())["detail"]


async def test_a_ticket_opens_one_websocket(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        async with api.client.post("/api/ws/ticket") as answer:
            ticket = (await answer.json())["ticket"]
        async with client.ws_connect(f"/api/ws/ticks?ticket={ticket}", origin=api.url) as socket:
            await socket.send_json({"action": "subscribe", "tokens": [1]})
            assert (await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS))["type"] == "subscribed"
        for path in (f"/api/ws/ticks?ticket={ticket}", "/api/ws/ticks", "/api/ws/ticks?ticket=x"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(path)
            assert refused.value.status == 403


async def test_a_websocket_of_another_site_is_refused_even_with_a_ticket(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        async with api.client.post("/api/ws/ticket") as answer:
            ticket = (await answer.json())["ticket"]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(f"/api/ws/ticks?ticket={ticket}", origin="https://evil.example")


async def test_a_key_that_is_made_is_kept_and_a_new_one_is_good_at_once(settings: Settings) -> None:
    async with serving(settings) as api:
        keys = type(api.parts.keys)(msgspec.structs.replace(settings, bahi_api_key=None), SystemClock())
        made = keys.load()
        assert made is not None
        assert keys.load() is None
        assert keys.is_key(made)
        assert not keys.is_key(KEY)


async def test_the_page_is_whole_and_asks_nobody_else(settings: Settings) -> None:
    async with serving(settings) as api, stranger(api) as client:
        async with client.get("/") as answer:
            shell = await answer.text()
            assert answer.headers["content-type"].startswith("text/html")
        seen: set[str] = set()
        names = {part.split('"')[0] for part in shell.split("/web/")[1:]}
        while names - seen:
            name = min(names - seen)
            seen.add(name)
            async with client.get(f"/web/{name}") as answer:
                assert answer.status == 200, name
                text = await answer.text()
                etag = answer.headers["etag"]
            names |= {part.split('"')[0] for part in text.split('from "./')[1:]}
            assert "http://" not in text.replace("http://www.w3.org", ""), f"{name} asks another host"
            assert "https://" not in text, f"{name} asks another host"
            async with client.get(f"/web/{name}", headers={"if-none-match": etag}) as answer:
                assert answer.status == 304
        assert {"app.js", "style.css", "icon.svg", "chart.js"} <= seen
        assert "style=" not in shell
        assert "<script>" not in shell
        for path in ("/web/../app.py", "/web/%2e%2e/app.py", "/web/none.js"):
            async with client.get(path) as answer:
                assert answer.status in (401, 404), path


async def test_a_port_that_is_taken_is_said(settings: Settings) -> None:
    from api import server
    from runtime.errors import SettingError
    from runtime.lifecycle import Stop

    async with serving(settings) as api:
        with pytest.raises(SettingError, match="API_PORT"):
            await asyncio.wait_for(server.run(api.parts.settings, Stop()), PATIENCE_SECONDS)
