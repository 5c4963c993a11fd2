"""Who may do what, and where: brokers' settings and tokens, ports, feeds."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from events.messages import WAITS_FOR_LOGIN
from ops import readiness
from ops.doctor.finding import Finding, good, note, wrong
from ops.facts.gather import Facts
from ops.facts.streams import FeedFacts
from producers.kite.address import SANDBOX, SPOKEN
from producers.kite.hours import TOKEN_END, business_day
from runtime import port
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND
from runtime.errors import SettingError
from runtime.settings import Settings
from runtime.vault import Vault

NAMED_MAX = 20  # unknown instruments that are named; the rest is counted


def brokers(settings: Settings) -> Iterator[Finding]:
    """Look at what each broker needs in the settings."""
    for broker in settings.broker:
        if broker not in SPOKEN:
            yield wrong("settings", f"BROKER={broker}: this version does not speak to it", "set BROKER=kite or sandbox")
        elif broker == "kite" and not settings.kite_api_key:
            yield wrong("settings", "KITE_API_KEY is not set", "set it to the key of your Kite Connect app")
        elif broker == "kite" and not settings.watchlist:
            remedy = "set WATCHLIST=NSE:INFY,..., or POST /api/instruments/subscribe"
            yield note("settings", "WATCHLIST is empty: only what is asked for through the API is taken", remedy)
        else:
            yield good("settings", f"BROKER={broker}")


def tokens(settings: Settings, now_ns: int) -> Iterator[Finding]:
    """Look at the access token of each broker."""
    for broker in settings.broker:
        if broker in SPOKEN:
            yield _token(settings, broker, now_ns)


def _token(settings: Settings, broker: str, now_ns: int) -> Finding:
    remedy = f"bahi login {broker}"
    try:
        held = Vault(settings.bahi_data_dir).get(f"{broker}/access_token")
    except SettingError as error:
        return wrong("token", f"wanted {error.wanted}; found {error.found}", error.remedy)
    if held is None:
        if broker == "kite" and settings.kite_access_token:
            return note("token", "KITE_ACCESS_TOKEN is used; whether it is of today is not known", remedy)
        if broker == SANDBOX:
            return note("token", "no token of the sandbox yet: bahi sync logs in by itself")
        return wrong("token", f"no access token of {broker}", remedy)
    path = settings.bahi_data_dir / "secrets" / f"{broker}/access_token.secret"
    put_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    now = datetime.fromtimestamp(now_ns / NS_PER_SECOND, UTC)
    found = f"the access token of {broker} is version {held[1]}, of {put_at.astimezone(IST):%d %b %H:%M} IST"
    if broker != SANDBOX and business_day(put_at, TOKEN_END) < business_day(now, TOKEN_END):
        return wrong("token", f"{found}: it ended at {TOKEN_END:%H:%M} IST", remedy)
    return good("token", found)


async def ports(facts: Facts, settings: Settings) -> Finding:
    """Look whether the API answers, or could listen."""
    where = readiness.url(settings.api_host, settings.api_port)
    if facts.running == "up" or facts.runs("api"):
        missing = await asyncio.to_thread(readiness.missing, settings.api_host, settings.api_port)
        if missing:
            return wrong("API", f"{where}: {missing}", "read what bahi api says")
        return good("API", f"{where} is ready")
    try:
        port.refuse_taken("API_PORT", settings.api_host, settings.api_port)
    except SettingError as error:
        return wrong("API", f"API_PORT={settings.api_port} cannot be used: {error.found}", error.remedy)
    return good("API", f"port {settings.api_port} is free; nothing runs")


def watched(facts: Facts) -> Iterator[Finding]:
    """Look whether the broker lists what WATCHLIST names."""
    unlisted = facts.database.facts.unlisted if facts.database.facts else []
    if unlisted:
        more = f" and {len(unlisted) - NAMED_MAX} more" if len(unlisted) > NAMED_MAX else ""
        found = f"WATCHLIST names {', '.join(unlisted[:NAMED_MAX])}{more}, which {facts.broker[0]} does not list"
        yield wrong("watchlist", found, "mend it, or look it up: GET /api/instruments?search=")


def feeds(facts: Facts) -> Iterator[Finding]:
    """Look at each connection of a feed, where a ticker runs."""
    for feed in facts.feeds:
        if feed.state == "connected":
            yield good("feed", f"{feed.stream} is connected, {feed.ticks_per_second:,.0f} ticks/s")
        elif feed.state == "closed":
            yield good("feed", f"{feed.stream} rests: {feed.down}")
        elif feed.state == "lost":
            yield _lost(facts, feed)
        elif facts.runs("ticks"):
            yield wrong("feed", f"{feed.stream} gives no beat, though a ticker runs", "read what bahi ticks says")
        else:
            yield note("feed", f"{feed.stream} is silent: no ticker runs", "bahi up, or bahi ticks")


def _lost(facts: Facts, feed: FeedFacts) -> Finding:
    found = f"{feed.stream} is not connected"
    if feed.gap_from_ns is not None:
        seconds = max(0, round((facts.now_ns - feed.gap_from_ns) / NS_PER_SECOND))
        found = f"{feed.stream} is lost since {timedelta(seconds=seconds)}"
    if feed.down in WAITS_FOR_LOGIN:
        return wrong("feed", f"{found}: {feed.down}", f"bahi login {feed.stream.split('-')[1]}")
    return wrong("feed", f"{found}: {feed.down}" if feed.down else found, "read what bahi ticks says")
