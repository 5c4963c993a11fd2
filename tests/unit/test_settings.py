"""Settings: what is read, what is refused and how, and that no secret is ever shown."""

from pathlib import Path

import pytest

from runtime import settings as module
from runtime.errors import SettingError
from runtime.settings import SETTINGS, Settings, load

WRONG = [
    ("API_PORT", "eighty"),
    ("API_PORT", "65536"),
    ("API_HOST", "two words"),
    ("API_NAMES", "https://bahi.example.org"),
    ("DATABASE_URL", "mysql://u@h/d"),
    ("DATABASE_URL", "postgresql://u@h:port/d"),
    ("REDIS_URL", "http://h"),
    ("ARCHIVE_URL", "/a/folder"),
    ("ARCHIVE_URL", "archive"),
    ("ARCHIVE_URL", "file:relative"),
    ("ARCHIVE_URL", "file://host/path"),
    ("ARCHIVE_URL", "s3:///prefix"),
    ("ARCHIVE_URL", "s3://bucket/prefix?region=ap-south-1"),
    ("ARCHIVE_URL", "gs://bucket/prefix"),
    ("AWS_ENDPOINT_URL", "minio:9000"),
    ("AWS_ALLOW_HTTP", "perhaps"),
    ("BROKER", "zerodha"),
    ("BROKER", "sandbox,kite"),
    ("BROKER", ","),
    ("KITE_API_ROOT", "api.kite.trade"),
    ("KITE_WS_ROOT", "https://ws.kite.trade"),
    ("WATCHLIST", "INFY"),
    ("SYNC_INTERVAL_SECONDS", "0"),
    ("MARKET_HOURS_ONLY", "perhaps"),
    ("TICK_MODE", "depth"),
    ("TICK_RETENTION_DAYS", "0"),
    ("SPOOL_FILE_BYTES", "1"),
    ("SPOOL_FILE_SECONDS", "1.5"),
    ("TRIM_WINDOW_BYTES", "-1"),
    ("TRIM_WINDOW_SECONDS", "one hour"),
    ("BAHI_SANDBOX_PORT", "-1"),
    ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
]
SECRETS = {s.name: f"hush-{s.name.lower()}" for s in SETTINGS if s.secret}


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_setting_is_refused_with_its_name_its_value_and_what_was_wanted(name: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        load({name: value})
    wanted = next(s.wanted for s in SETTINGS if s.name == name)
    assert name in refused.value.wanted
    assert wanted in refused.value.wanted
    assert value in refused.value.found
    assert "docs/settings.md" in refused.value.remedy


def test_a_password_in_a_refused_url_is_masked() -> None:
    with pytest.raises(SettingError) as refused:
        load({"DATABASE_URL": "mysql://trader:hush@h/d"})
    assert "hush" not in str(refused.value)
    assert "mysql://trader:***@h/d" in refused.value.found


def test_defaults_are_the_sandbox_on_this_machine() -> None:
    settings = load({})
    assert settings.broker == ("sandbox",)
    assert settings.kite_api_root == "http://127.0.0.1:8765"
    assert settings.kite_ws_root == "ws://127.0.0.1:8765"
    assert settings.bahi_data_dir == Path("var").absolute()
    assert settings.archive_url == (Path("var").absolute() / "archive").as_uri()
    assert (settings.database_url, settings.redis_url, settings.watchlist) == (None, None, ())
    assert settings.market_hours_only is True


def test_with_kite_the_roots_are_those_of_kite() -> None:
    settings = load({"BROKER": "kite, FYERS"})
    assert settings.broker == ("kite", "fyers")
    assert settings.kite_api_root == "https://api.kite.trade"
    assert settings.kite_ws_root == "wss://ws.kite.trade"


def test_the_sandbox_is_asked_where_it_listens_unless_told_otherwise() -> None:
    assert load({"BAHI_SANDBOX_PORT": "9000"}).kite_api_root == "http://127.0.0.1:9000"
    assert load({"KITE_API_ROOT": "http://127.0.0.1:1/"}).kite_api_root == "http://127.0.0.1:1"


def test_a_watchlist_takes_tokens_and_symbols_once_each_in_order() -> None:
    assert load({"WATCHLIST": " nse:INFY,408065 , NSE:INFY,NFO:NIFTY26NOVFUT,"}).watchlist == (
        "NSE:INFY",
        "408065",
        "NFO:NIFTY26NOVFUT",
    )


BUCKET = {"ARCHIVE_URL": "s3://bucket/a/prefix", "AWS_ACCESS_KEY_ID": "hush-id", "AWS_SECRET_ACCESS_KEY": "hush-key"}


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_bucket_needs_a_key(missing: str) -> None:
    with pytest.raises(SettingError, match=f"wanted {missing}.* found it is not set") as refused:
        load({name: value for name, value in BUCKET.items() if name != missing})
    assert "hush" not in str(refused.value)


def test_a_key_in_the_url_of_a_bucket_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingError, match="ARCHIVE_URL") as refused:
        load({**BUCKET, "ARCHIVE_URL": "s3://id:hush@bucket/prefix"})
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:1", "https://minio.home"]
)
def test_a_bucket_is_asked_in_the_clear_on_this_machine_only(server: str) -> None:
    assert load({**BUCKET, "AWS_ENDPOINT_URL": server}).aws_endpoint_url == server


def test_a_bucket_of_another_machine_is_asked_in_the_clear_only_where_that_is_said() -> None:
    away = {**BUCKET, "AWS_ENDPOINT_URL": "http://minio.home:9000"}
    with pytest.raises(SettingError, match="AWS_ENDPOINT_URL"):
        load(away)
    assert load({**away, "AWS_ALLOW_HTTP": "true"}).aws_endpoint_url == "http://minio.home:9000"
    assert load({**away, "ARCHIVE_URL": "file:///a/folder"}).aws_endpoint_url == "http://minio.home:9000"


def test_an_empty_value_counts_as_not_set() -> None:
    assert load({"API_PORT": " ", "DATABASE_URL": ""}) == load({})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("API_PORT=8001\nLOG_LEVEL=debug\n# a comment\nSOMETHING_ELSE=1\n")
    settings = load({"API_PORT": "8002"}, dotenv)
    assert (settings.api_port, settings.log_level) == (8002, "debug")


@pytest.mark.parametrize(
    ("name", "meant"), [("BAHI_SANDBOX_PROT", "BAHI_SANDBOX_PORT"), ("BAHI_FOO", ""), ("BAHI_API_KEI", "BAHI_API_KEY")]
)
def test_a_name_that_is_meant_for_bahi_and_is_no_setting_is_refused(name: str, meant: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{name}=hush\n")
    for environ, path in (({name: "hush"}, None), ({}, tmp_path / ".env")):
        with pytest.raises(SettingError) as refused:
            load(environ, path)
        assert refused.value.found == name
        assert meant in refused.value.remedy
        assert "docs/settings.md" in refused.value.remedy
        assert "hush" not in str(refused.value)


def test_a_misspelt_name_is_refused_in_the_file_and_left_alone_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WATCHLISTS=NSE:INFY\n")
    with pytest.raises(SettingError, match="did you mean WATCHLIST"):
        load({}, tmp_path / ".env")
    assert load({"WATCHLISTS": "of another program", "POSTGRES_PASSWORD": "x"}) == load({})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"API_PORT=8001\nTICK_MODE quote\n", "line 2"),
        (b"KITE_API_SECRET='hush\n", "line 1"),
        (b"API_PORT=80\x0001\n", "line 1"),
        (b"\xff\xfeA\0", "no UTF-8 from byte 0"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_not_shown(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingError) as refused:
        load({}, tmp_path / ".env")
    assert str(tmp_path / ".env") in refused.value.wanted
    assert said in refused.value.found
    assert ".env.example" in refused.value.remedy
    assert "hush" not in str(refused.value)


def test_a_folder_named_like_the_file_is_none(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load({}, tmp_path / ".env") == load({})


def test_names_of_the_api_are_read_in_lower_case() -> None:
    assert load({"API_NAMES": "Bahi.Example.org, desk"}).api_names == ("bahi.example.org", "desk")


def test_without_an_environment_the_process_and_the_working_directory_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_PORT", "8003")
    Path(".env").write_text("TICK_MODE=quote\n")
    settings = load()
    assert (settings.api_port, settings.tick_mode) == (8003, "quote")
    assert settings.bahi_data_dir == tmp_path / "var"


def test_no_secret_is_shown_and_all_are_known_to_the_redactor() -> None:
    settings = load({**SECRETS, "DATABASE_URL": "postgresql://u:hush-url@h/d"})
    assert "hush" not in repr(settings)
    assert set(settings.secrets()) == set(SECRETS.values())


def test_table_and_fields_are_the_same() -> None:
    assert tuple(s.field for s in SETTINGS) == Settings.__struct_fields__
    assert all(s.meaning and s.wanted for s in SETTINGS)


def test_the_widest_ranges_hold_their_own_defaults() -> None:
    for setting in SETTINGS:
        if setting.default is not None:
            setting.read(setting.default)
    assert module.SPOOL_FILE_BYTES_MIN < module.SPOOL_FILE_BYTES_MAX
