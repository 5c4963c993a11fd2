"""Structured logs: static event names, data in keywords, secrets masked, one shape for every line.

`get("ticker").info("feed.connected", connection=1)` is the whole interface. Bind what stays the same once a
batch, never a tick. What libraries say through the standard `logging` comes out as the event
`library.said`, with their text beside it, so that it is masked like everything else. Lines go to standard
error; standard output belongs to what a command was asked for.
"""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from runtime.settings import Settings

MASK = "***"
SECRET_NAME = re.compile(r"(?i)token|secret|password|passwd|authorization|cookie|api_?key|checksum|pin\b|totp")
# A name of this kind only tells which instrument, file or version is meant.
PUBLIC_NAME = re.compile(r"(?i)(instrument|exchange)_tokens?|tokens|secret_version")
# `name=value` of a query or a header, as libraries print them; and the password of a URL.
SECRET_IN_TEXT = re.compile(
    r"(?i)\b((?:access|request|refresh|enc)_?token|api_?secret|api_?key|password|authorization)(\"?\s*[=:]\s*\"?)"
    r"(?:(?:token|bearer)\s+)?[^\s&,;\"']+"
)
URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")
# A shorter secret, such as the sandbox's, may be part of an ordinary word.
SECRET_CHARACTERS_MIN = 8
LIBRARY_LEVEL = logging.WARNING


def get(name: str) -> FilteringBoundLogger:
    """Give the logger of one part; it may be asked for before `configure` and follows it."""
    return cast(FilteringBoundLogger, structlog.get_logger(part=name))


def configure(process: str, settings: Settings) -> None:
    """Set up the logs of this process: `process` stands in each line; level, format and secrets from `settings`."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=_processors(process, settings),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Asked for at each use: whoever redirects standard error gets the log as well.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(max(level, LIBRARY_LEVEL))
    logging.captureWarnings(capture=True)


class Redactor:
    """The processor that masks secrets: by the name of the keyword, by shape in text, and by known values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted((s for s in secrets if len(s) >= SECRET_CHARACTERS_MIN), key=len, reverse=True)

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Mask the values of one event; nested mappings and lists are searched as well."""
        return {name: self._mask(name, value) for name, value in event.items()}

    def _mask(self, name: str, value: object) -> object:
        if value is not None and SECRET_NAME.search(name) and not PUBLIC_NAME.fullmatch(name):
            return MASK
        if isinstance(value, str):
            return self._mask_text(value)
        if isinstance(value, MutableMapping):
            return {key: self._mask(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._mask("", item) for item in value]
        if isinstance(value, BaseException):
            return self._mask_text(f"{type(value).__name__}: {value}")
        return value

    def _mask_text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        text = SECRET_IN_TEXT.sub(rf"\1\2{MASK}", text)
        return URL_PASSWORD.sub(rf"\1:{MASK}@", text)


class _Bridge(logging.Handler):
    """Hands what libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(part=record.name)
        logger.log(record.levelno, "library.said", text=record.getMessage(), exc_info=record.exc_info)


def _processors(process: str, settings: Settings) -> list[Processor]:
    json = settings.log_format == "json"

    def name_process(_logger: object, _method: str, event: EventDict) -> EventDict:
        if json:  # on a terminal `bahi up` names the process at the head of the line
            event.setdefault("process", process)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        name_process,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S.%f", utc=json),
        # A traceback becomes text before the redactor, so that it is searched too.
        structlog.processors.format_exc_info,
        Redactor(settings.secrets()),
        _json() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
    ]


def _json() -> Processor:
    return structlog.processors.JSONRenderer(default=_plain)


def _plain(value: Any) -> object:  # whatever a caller put into a keyword
    return value.hex() if isinstance(value, bytes) else str(value)
