"""Logs: one shape for every line, and no secret in any of them."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from runtime import log
from runtime.log import MASK, Redactor
from runtime.settings import load

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Configure JSON logs for a process named "ticks"; give what was logged since the last call."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    log.configure("ticks", load({"LOG_FORMAT": "json", "KITE_API_SECRET": "kite-secret-of-today"}))
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logging.captureWarnings(capture=False)
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_a_static_event_with_its_data_beside_it(lines: Lines) -> None:
    log.get("ticker").info("feed.connected", connection=1, raw=b"\x01\x02")
    (line,) = lines()
    assert line.pop("timestamp")
    assert line == {
        "event": "feed.connected",
        "level": "info",
        "part": "ticker",
        "process": "ticks",
        "connection": 1,
        "raw": "0102",
    }


def test_a_logger_made_before_configure_follows_it(capsys: pytest.CaptureFixture[str]) -> None:
    early = log.get("early")
    log.configure("api", load({"LOG_FORMAT": "json", "LOG_LEVEL": "warning"}))
    try:
        early.info("api.unimportant")
        early.warning("api.important")
        (line,) = capsys.readouterr().err.splitlines()
        assert json.loads(line)["event"] == "api.important"
    finally:
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


def test_what_libraries_say_comes_out_as_one_event_and_masked(lines: Lines) -> None:
    logging.getLogger("kiteconnect.connect").warning("GET wss://ws.kite.trade/?api_key=abc&access_token=%s", "xyz")
    (line,) = lines()
    assert (line["event"], line["part"]) == ("library.said", "kiteconnect.connect")
    assert line["text"] == f"GET wss://ws.kite.trade/?api_key={MASK}&access_token={MASK}"


def test_a_secret_is_masked_wherever_it_stands(lines: Lines) -> None:
    logger = log.get("ticker")
    logger.info("a.b", access_token="t", password="p", kite_api_key="k", cookie="c", instrument_token=408065)
    logger.info("a.b", text="the kite-secret-of-today leaked", url="postgresql://trader:hush@h/d")
    logger.info("a.b", nested={"request_token": "r", "list": [{"api_secret": "s"}, "enctoken: e"]})
    logger.info("a.b", error=ValueError("Authorization: token abc:def"))
    text = json.dumps(lines())
    for secret in ('"t"', '"p"', '"k"', '"c"', '"r"', '"s"', "kite-secret", "hush", ": e", "abc:def"):
        assert secret not in text, f"wanted no {secret} in the log, found {text}"
    assert "408065" in text


def test_a_traceback_is_searched_too(lines: Lines) -> None:
    try:
        dict[str, str]()["kite-secret-of-today"]
    except KeyError:
        log.get("ticker").exception("ticker.crashed")
    (line,) = lines()
    assert "Traceback" in str(line["exception"])
    assert "kite-secret-of-today" not in json.dumps(line)


def test_a_short_secret_does_not_mask_ordinary_words() -> None:
    assert Redactor(["sandbox"])(None, "info", {"text": "the sandbox exchange"}) == {"text": "the sandbox exchange"}


def test_the_console_shows_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("ticks", load({}))
    try:
        log.get("ticker").info("feed.connected", connection=1, access_token="hush")
        text = capsys.readouterr().err
        assert "feed.connected" in text
        assert "connection=1" in text
        assert "hush" not in text
    finally:
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
