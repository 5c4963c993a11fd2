"""What is asked of a list beside its filters: which page, from when to when, with the broker's own rows or not."""

from datetime import datetime, time
from typing import Annotated

import msgspec
from litestar.di import Provide
from litestar.params import FromQuery, QueryParameter

from api.accounts.pulls import WAIT_SECONDS, WAIT_SECONDS_MAX
from api.moment import moment
from runtime.errors import BadInput

PAGE_DEFAULT, PAGE_MAX = 100, 1000  # a page of 1,000 orders is about 900 KB, with the broker's rows twice that
NONE = "none"  # as a strategy: what belongs to none


class Page(msgspec.Struct, frozen=True):
    """Which page. raw: with the broker's own rows. fresh: after a pull, for which it waits so many seconds at most."""

    limit: int
    cursor: str | None
    raw: bool
    fresh: bool = False
    wait_seconds: float = WAIT_SECONDS


class Span(msgspec.Struct, frozen=True):
    """From when to when, both included; None for no end."""

    since: datetime | None
    until: datetime | None

    @property
    def asked(self) -> dict[str, object]:
        """Give the parameters of a statement."""
        return {"from": self.since, "to": self.until}


def read_page(
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
    raw: FromQuery[bool] = False,
    fresh: FromQuery[bool] = False,
    wait: Annotated[float, QueryParameter(gt=0, le=WAIT_SECONDS_MAX)] = WAIT_SECONDS,
) -> Page:
    """Read `limit`, `cursor`, `raw`, `fresh` and `wait` (seconds)."""
    return Page(limit, cursor, raw, fresh, wait)


def read_span(
    start: Annotated[str | None, QueryParameter(name="from")] = None,
    end: Annotated[str | None, QueryParameter(name="to")] = None,
) -> Span:
    """Read `from` and `to`: IST days, or times. Raises BadInput."""
    span = Span(moment("from", start, time.min) if start else None, moment("to", end, time.max) if end else None)
    if span.since and span.until and span.since > span.until:
        raise BadInput("`from` before `to`", f"{start} after {end}", "swap them")
    return span


def upper(text: str | None) -> str | None:
    """Give a symbol, an exchange or a product as the brokers write it; nothing for an empty one."""
    return text.strip().upper() or None if text else None


def of_strategy(strategy_id: str | None) -> dict[str, object]:
    """Give the parameters for what belongs to a strategy, or (`none`) to none."""
    named = strategy_id.strip() or None if strategy_id else None
    none = named is not None and named.lower() == NONE
    return {"strategy_id": None if none else named, "unattributed": none}


PAGED = {"page": Provide(read_page, sync_to_thread=False)}
SPANNED = {"span": Provide(read_span, sync_to_thread=False)}
