"""Every setting of Bahi: one table, read from the environment and from `.env`.

The environment wins over `.env`; an empty value counts as not set. A wrong value stops the process at
once with the setting's name, the value (secrets masked) and what was expected; so does a name that begins
like one of ours and is none, because a misspelt setting is one that was not set. `docs/settings.md` shows the
same table to the user, and a test holds the two together.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from runtime import env_file, spelling
from runtime.errors import SettingError
from runtime.spelling import Read, host, host_name, instrument, list_of, one_of, path, url, whole, word, yes_or_no

BROKERS = ("sandbox", "kite", "fyers")
SANDBOX_PORT = 8765
SANDBOX_INSTRUMENTS_MAX = 9_000  # three connections of Kite carry no more
SANDBOX_RATE_MAX = 1_000_000  # more than one process can send
SANDBOX_TRADERS_MAX = 500  # an account each; as many as one process has been seen to keep busy
SANDBOX_SEED_MAX = 2**32 - 1

MIB = 1024 * 1024
DAY_SECONDS = 86_400
# Below 4 KiB a spool file would hold hardly one frame of 3,000 instruments; above 1 GiB a restart reads for minutes.
SPOOL_FILE_BYTES_MIN, SPOOL_FILE_BYTES_MAX = 4096, 1024 * MIB
# The broker counts polls: three accounts polled every five seconds already use half of Kite's REST budget.
SYNC_INTERVAL_SECONDS_MIN = 5
PORT_MAX = 65_535
RETENTION_DAYS_MAX = 36_500
OURS = "BAHI_"  # what begins so is meant for us
ALMOST = 0.88  # of 1: a letter or two apart, and farther than any two of ours are from what other programs read
BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # no more of S3's rules, which other servers bend; but no key, and no port
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the user chose; a field is the setting's name in lower case, its meaning stands in `SETTINGS`."""

    database_url: str | None
    redis_url: str | None
    bahi_data_dir: Path
    archive_url: str
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None
    aws_region: str
    aws_endpoint_url: str | None
    aws_allow_http: bool
    aws_ca_bundle: Path | None
    broker: tuple[str, ...]
    kite_api_key: str | None
    kite_api_secret: str | None
    kite_access_token: str | None
    kite_api_root: str
    kite_ws_root: str
    fyers_app_id: str | None
    fyers_access_token: str | None
    fyers_api_root: str
    fyers_ws_root: str
    watchlist: tuple[str, ...]
    accounts_file: Path | None
    sync_interval_seconds: int
    market_hours_only: bool
    tick_mode: str
    tick_retention_days: int
    api_host: str
    api_port: int
    api_names: tuple[str, ...]
    spool_file_bytes: int
    spool_file_seconds: int
    trim_window_bytes: int
    trim_window_seconds: int
    bahi_api_key: str | None
    bahi_sandbox_port: int
    bahi_sandbox_instruments: int | None
    bahi_sandbox_rate: int | None
    bahi_sandbox_seed: int
    bahi_sandbox_limits: bool
    bahi_sandbox_traders: int
    alert_urls: tuple[str, ...]
    log_level: str
    log_format: str

    def __repr__(self) -> str:
        """Show every field, secrets and passwords masked."""
        shown = (f"{s.field}={s.masked(getattr(self, s.field))}" for s in SETTINGS)
        return f"Settings({', '.join(shown)})"

    def secrets(self) -> tuple[str, ...]:
        """Give the values that must never be shown, for the log's redaction."""
        found: list[str] = []
        for setting in SETTINGS:
            value = getattr(self, setting.field)
            if setting.secret and value:
                found.extend(value if isinstance(value, tuple) else (value,))
        return tuple(found)


class Setting(msgspec.Struct, frozen=True):
    """One row of the table: how a setting is named, read, defaulted and explained."""

    name: str
    read: Read
    wanted: str
    meaning: str
    default: str | None = None
    secret: bool = False

    @property
    def field(self) -> str:
        """Give the name of the field of `Settings`."""
        return self.name.lower()

    def masked(self, value: object) -> str:
        """Show a value as errors and logs may show it."""
        if self.secret and value:
            return "***"
        return spelling.masked_url(repr(value))


def _setting(name: str, read: Read, default: str | None, wanted: str, meaning: str) -> Setting:
    return Setting(name, read, wanted, meaning, default=default)


def _secret(name: str, wanted: str, meaning: str) -> Setting:
    return Setting(name, word, wanted, meaning, secret=True)


SETTINGS: tuple[Setting, ...] = (
    _setting("DATABASE_URL", url("postgresql", "postgres", host_required=False), None, "postgresql://...",
             "The PostgreSQL that holds the tables; without it `bahi up` starts one of its own"),
    _setting("REDIS_URL", spelling.redis_url, None, "redis://..., rediss://... or unix://...",
             "The Redis or Redis Cluster that holds the newest part of the log; without it `bahi up` starts its own"),
    _setting("BAHI_DATA_DIR", path, "var", "a folder",
             "Where spool, archive, secrets, sandbox and embedded servers keep their files"),
    _setting("ARCHIVE_URL", url("file", "s3", host_required=False), None, "file:///a/folder or s3://bucket/prefix",
             "Where the whole log is kept for ever; the folder `archive` of the data directory when not set"),
    _secret("AWS_ACCESS_KEY_ID", "the id of an access key",
            "The access key for ARCHIVE_URL=s3://...; it must be allowed to list, read and put there"),
    _secret("AWS_SECRET_ACCESS_KEY", "the secret of an access key",
            "The secret of that access key"),
    _secret("AWS_SESSION_TOKEN", "a session token",
            "The session token, where the access key is a temporary one"),
    _setting("AWS_REGION", word, "us-east-1", "a region such as ap-south-1",
             "The region of the bucket"),
    _setting("AWS_ENDPOINT_URL", url("http", "https"), None, "https://..., or http://... of this machine",
             "The server that holds the bucket; the region's own of Amazon when not set"),
    _setting("AWS_ALLOW_HTTP", yes_or_no, "false", "true or false",
             "Whether AWS_ENDPOINT_URL may be http:// of another machine, where anybody between can read the archive"),
    _setting("AWS_CA_BUNDLE", path, None, "the path of a PEM file",
             "Certificates that the bucket's server is trusted by, besides those of the system"),
    _setting("BROKER", list_of(one_of(*BROKERS)), "sandbox", "sandbox, or a list of kite and fyers",
             "Whose ticks are taken; in a comma list the first is primary, the others are backup"),
    _secret("KITE_API_KEY", "the key of your Kite Connect app",
            "The key of your Kite Connect app"),
    _secret("KITE_API_SECRET", "the secret of your Kite Connect app",
            "The secret of your Kite Connect app, needed to log in"),
    _secret("KITE_ACCESS_TOKEN", "a Kite access token of today",
            "Today's access token, if you log in by other means than `bahi login`"),
    _setting("KITE_API_ROOT", url("http", "https"), "https://api.kite.trade", "http://... or https://...",
             "Kite's REST address; with the sandbox the sandbox's"),
    _setting("KITE_WS_ROOT", url("ws", "wss"), "wss://ws.kite.trade", "ws://... or wss://...",
             "Kite's ticker address; with the sandbox the sandbox's"),
    _setting("FYERS_APP_ID", word, None, "the id of your Fyers app, such as ABCD1234-100",
             "The id of your Fyers app"),
    _secret("FYERS_ACCESS_TOKEN", "a Fyers access token of today",
            "Today's Fyers access token"),
    _setting("FYERS_API_ROOT", url("http", "https"), "https://api-t1.fyers.in", "http://... or https://...",
             "Fyers' REST address"),
    _setting("FYERS_WS_ROOT", url("ws", "wss"), "wss://socket.fyers.in", "ws://... or wss://...",
             "Fyers' ticker address"),
    _setting("WATCHLIST", list_of(instrument), "", "instrument tokens or EXCHANGE:SYMBOL, separated by commas",
             "What is subscribed at start; empty means everything with the sandbox and nothing otherwise"),
    _setting("ACCOUNTS_FILE", path, None, "the path of a TOML file",
             "Your trading accounts with their broker and credentials"),
    _setting("SYNC_INTERVAL_SECONDS", whole(SYNC_INTERVAL_SECONDS_MIN, DAY_SECONDS), "300",
             f"a whole number from {SYNC_INTERVAL_SECONDS_MIN} to {DAY_SECONDS}",
             "How often accounts are asked for orders, trades, positions, holdings and margins"),
    _setting("MARKET_HOURS_ONLY", yes_or_no, "true", "true or false",
             "Whether the broker is left alone while its markets are closed; ignored with the sandbox"),
    _setting("TICK_MODE", one_of("full", "quote", "ltp"), "full", "full, quote or ltp",
             "How much each tick carries: with depth, without depth, or the last price alone"),
    _setting("TICK_RETENTION_DAYS", whole(1, RETENTION_DAYS_MAX), "7", f"a whole number from 1 to {RETENTION_DAYS_MAX}",
             "How many days of ticks the database keeps, counted back from the newest day held"),
    _setting("API_HOST", host, "127.0.0.1", "an address or host name",
             "Where the API listens"),
    _setting("API_PORT", whole(1, PORT_MAX), "8000", f"a port from 1 to {PORT_MAX}",
             "The port of API and page"),
    _setting("API_NAMES", list_of(host_name), "", "host names, separated by commas",
             "Further names under which the API is reached, such as that of a reverse proxy"),
    _setting("SPOOL_FILE_BYTES", whole(SPOOL_FILE_BYTES_MIN, SPOOL_FILE_BYTES_MAX), str(64 * MIB),
             f"a whole number from {SPOOL_FILE_BYTES_MIN} to {SPOOL_FILE_BYTES_MAX}",
             "A spool file is closed at this size; a closed file becomes a segment of the archive"),
    _setting("SPOOL_FILE_SECONDS", whole(1, DAY_SECONDS), "3600", f"a whole number from 1 to {DAY_SECONDS}",
             "A spool file that is not empty is closed at this age"),
    _setting("TRIM_WINDOW_BYTES", whole(0, 1024 * 1024 * MIB), str(1024 * MIB), "a whole number of bytes",
             "How much archived log Redis keeps; less where TRIM_WINDOW_SECONDS says less"),
    _setting("TRIM_WINDOW_SECONDS", whole(0, 366 * DAY_SECONDS), "3600", "a whole number of seconds",
             "How long Redis keeps archived log; less where TRIM_WINDOW_BYTES says less"),
    _secret("BAHI_API_KEY", "an administrator's key",
            "The administrator's key of the API; one is made and printed when not set"),
    _setting("BAHI_SANDBOX_PORT", whole(0, PORT_MAX), str(SANDBOX_PORT), f"a port from 0 to {PORT_MAX}",
             "The port of the sandbox exchange; 0 takes a free one"),
    _setting("BAHI_SANDBOX_INSTRUMENTS", whole(1, SANDBOX_INSTRUMENTS_MAX), None,
             f"a whole number from 1 to {SANDBOX_INSTRUMENTS_MAX}",
             "How many instruments the sandbox lists; when not set the usual equities, indices, futures and options"),
    _setting("BAHI_SANDBOX_RATE", whole(1, SANDBOX_RATE_MAX), None, f"a whole number from 1 to {SANDBOX_RATE_MAX}",
             "Ticks a second of the sandbox's market in all; 1.5 for each instrument when not set"),
    _setting("BAHI_SANDBOX_SEED", whole(0, SANDBOX_SEED_MAX), "1", f"a whole number from 0 to {SANDBOX_SEED_MAX}",
             "Which market the sandbox makes up: the same seed gives the same prices at the same time"),
    _setting("BAHI_SANDBOX_LIMITS", yes_or_no, "true", "true or false",
             "Whether the sandbox refuses what Kite would: requests and connections over its limits"),
    _setting("BAHI_SANDBOX_TRADERS", whole(0, SANDBOX_TRADERS_MAX), "3",
             f"a whole number from 0 to {SANDBOX_TRADERS_MAX}",
             "How many users of the sandbox trade by themselves: TR0001, TR0002 and so on"),
    Setting("ALERT_URLS", list_of(word), "Apprise addresses, separated by commas",
            "Where alerts are sent, as Apprise addresses", default="", secret=True),
    _setting("LOG_LEVEL", one_of("debug", "info", "warning", "error"), "info", "debug, info, warning or error",
             "The least important message that is logged"),
    _setting("LOG_FORMAT", one_of("console", "json"), "console", "console or json",
             "Log lines for eyes, or for machines"),
)  # fmt: skip


def load(environ: Mapping[str, str] | None = None, dotenv_path: Path | None = None) -> Settings:
    """Read the settings; raise `SettingError` at the first wrong one.

    Without `environ` the process's environment and `.env` of the working directory are read; with it,
    only the file that `dotenv_path` names.
    """
    if environ is None:
        environ, dotenv_path = os.environ, dotenv_path or Path(".env")
    file = env_file.read(dotenv_path) if dotenv_path else {}
    _refuse_unknown(environ, file)
    given = {name: value.strip() for name, value in {**file, **environ}.items() if value.strip()}
    values = {setting.field: _value(setting, given) for setting in SETTINGS}
    _refuse_mixed_brokers(given.get("BROKER", ""))
    _fill_in(values, given)
    _refuse_wrong_archive(values)
    return Settings(**values)


def _refuse_unknown(environ: Mapping[str, str], file: Mapping[str, str]) -> None:
    """Refuse what is meant for Bahi and is none of its settings: BAHI_..., and in the file what is almost one."""
    names = [setting.name for setting in SETTINGS]
    for name in (*environ, *file):
        if name in names:
            continue
        near = difflib.get_close_matches(name, names, n=1, cutoff=ALMOST)
        if name.startswith(OURS) or (near and name in file):
            meant = f"did you mean {near[0]}? " if near else ""
            remedy = f"{meant}docs/settings.md lists all; mend the name or take it out"
            raise SettingError("names of settings that Bahi has", name, remedy)


def _value(setting: Setting, given: Mapping[str, str]) -> Any:  # each reader gives its own type
    text = given.get(setting.name, setting.default)
    if text is None:
        return None
    try:
        return setting.read(text)
    except ValueError as error:
        raise _wrong(setting, text) from error


def _wrong(setting: Setting, text: str) -> SettingError:
    return SettingError(
        f"{setting.name} to be {setting.wanted}",
        f"{setting.name}={setting.masked(text)}",
        f"set {setting.name} in the environment or in .env, or leave it out; docs/settings.md explains it",
    )


def _refuse_mixed_brokers(text: str) -> None:
    """Keep made-up prices out of a log of real ones: the sandbox stands alone."""
    setting = _named("BROKER")
    brokers = list_of(one_of(*BROKERS))(text or "sandbox")
    if not brokers or ("sandbox" in brokers and len(brokers) > 1):
        raise _wrong(setting, text)


def _refuse_wrong_archive(values: Mapping[str, Any]) -> None:
    """See that ARCHIVE_URL names one place, and that a bucket has all that it needs."""
    parts = urlsplit(values["archive_url"])
    bucket = parts.scheme == "s3"
    named = re.fullmatch(BUCKET, parts.netloc) if bucket else not parts.netloc and parts.path.startswith("/")
    if not named or parts.query or parts.fragment:
        raise _wrong(_named("ARCHIVE_URL"), values["archive_url"])
    if bucket:
        _refuse_half_a_bucket(values)


def _refuse_half_a_bucket(values: Mapping[str, Any]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if values[name.lower()] is None:
            raise SettingError(
                f"{name}, for ARCHIVE_URL=s3://...",
                "it is not set",
                "set it in the environment or in .env; docs/settings.md explains it",
            )
    endpoint = urlsplit(values["aws_endpoint_url"] or "")
    if "@" in endpoint.netloc or not (
        endpoint.scheme != "http" or endpoint.hostname in LOOPBACK or values["aws_allow_http"]
    ):
        raise _wrong(_named("AWS_ENDPOINT_URL"), values["aws_endpoint_url"])


def _named(name: str) -> Setting:
    return next(setting for setting in SETTINGS if setting.name == name)


def _fill_in(values: dict[str, Any], given: Mapping[str, str]) -> None:
    """Add the defaults that depend on other settings."""
    if values["archive_url"] is None:
        values["archive_url"] = (values["bahi_data_dir"] / "archive").as_uri()
    if "sandbox" not in values["broker"]:
        return
    address = f"127.0.0.1:{values['bahi_sandbox_port']}"
    if "KITE_API_ROOT" not in given:
        values["kite_api_root"] = f"http://{address}"
    if "KITE_WS_ROOT" not in given:
        values["kite_ws_root"] = f"ws://{address}"
