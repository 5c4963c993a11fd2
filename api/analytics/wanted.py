"""What analytics are asked about: an account, a strategy, a span of IST days."""

import re
from datetime import date, datetime, time, timedelta

import msgspec
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery

from api.accounts.known import unknown
from api.accounts.wish import NONE, Span, of_strategy, read_span
from api.decisions.strategies import known as known_strategy
from api.decisions.taken import is_account
from api.tables import Tables
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND, Clock
from runtime.errors import BadInput

PERIOD = re.compile(r"([1-9]\d{0,3})([dwmy])")
DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
ALL = "all"
PERIOD_DAYS_MAX = 36_500  # a century; more than any log has, and less than the calendar


class Wanted(msgspec.Struct, frozen=True):
    """None stands for all accounts, all strategies, no end. strategy: `none` for what belongs to none."""

    account: str | None
    strategy: str | None
    first: date | None
    last: date | None

    @property
    def asked(self) -> dict[str, object]:
        """Give the parameters of a statement: of trades, the strategy by name or by having none."""
        by_name = of_strategy(self.strategy)
        return {
            "account": self.account,
            "strategy": NONE if by_name["unattributed"] else self.strategy,
            "named": by_name["strategy_id"],
            "unattributed": by_name["unattributed"],
            "first": self.first,
            "last": self.last,
        }

    @property
    def is_whole(self) -> bool:
        """Say whether it is about all days."""
        return self.first is None and self.last is None


class Now:
    """What time it is in India."""

    def __init__(self, clock: Clock) -> None:
        """Ask this clock."""
        self._clock = clock

    @property
    def time(self) -> datetime:
        """Give the time."""
        return datetime.fromtimestamp(self._clock.now_ns() / NS_PER_SECOND, IST)

    @property
    def day(self) -> date:
        """Give the day."""
        return self.time.date()


def read_wanted(
    span: NamedDependency[Span], account_id: FromQuery[str | None] = None, strategy_id: FromQuery[str | None] = None
) -> Wanted:
    """Read `account_id`, `strategy_id`, `from` and `to`; a time stands for its IST day."""
    named = strategy_id.strip() or None if strategy_id else None
    return Wanted(account_id or None, named, _day(span.since), _day(span.until))


async def checked(tables: Tables, wanted: Wanted) -> Wanted:
    """Give what is wanted. Raises NotFound for an account or a strategy that nobody knows."""
    if wanted.account is not None and not await is_account(tables, wanted.account):
        raise unknown(wanted.account)
    if wanted.strategy is not None and wanted.strategy.lower() != NONE:
        await known_strategy(tables, wanted.strategy)
    return wanted


def over(wanted: Wanted, period: str, now: Now) -> Wanted:
    """Give what is wanted over a period that ends today, unless `from` or `to` name another. Raises BadInput."""
    found = PERIOD.fullmatch(period.strip().lower())
    if period.strip().lower() == ALL or not wanted.is_whole:
        return wanted
    if not found or (days := int(found[1]) * DAYS[found[2]]) > PERIOD_DAYS_MAX:
        raise BadInput("`period` as 7d, 4w, 3m, 1y or all", repr(period[:20]), "or send `from` and `to`")
    last = now.day
    return msgspec.structs.replace(wanted, first=last - timedelta(days=days - 1), last=last)


def _day(moment: datetime | None) -> date | None:
    return moment.astimezone(IST).date() if moment else None


def begins(day: date) -> datetime:
    """Give the first moment of an IST day."""
    return datetime.combine(day, time(), IST)


WANTED = {
    "span": Provide(read_span, sync_to_thread=False),
    "wanted": Provide(read_wanted, sync_to_thread=False),
}
