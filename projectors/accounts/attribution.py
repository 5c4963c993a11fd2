"""Whose an order is, and whose a trade: by the user's rules and the order's tags. Pure: the past can be told anew.

What counts first is what says most exactly what it means:

    1. by hand, for this trade        rule of kind `trade`   `2026-04-13 NSE 260413000000001 70000001`
    2. by hand, for this order        rule of kind `order`   `2026-04-13 NSE 260413000000001`
    3. a rule about one of its tags   rule of kind `tag`     `breakout*`
    4. a tag that names a strategy    `strategy_7`, `strat:7`, `strat7`
    5. a rule about its symbol        rule of kind `symbol`  `NFO:NIFTY*`
    6. nothing: none (also where a tag names a strategy `none`)

Of several of one rank the one of the higher priority counts, then the one that was set last. A rule holds for orders of
the days that it names (IST), and of its account. Kite's trades have no tag: a trade takes its order's.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from events.accounts import RuleKind

RANKS: tuple[RuleKind | None, ...] = ("trade", "order", "tag", None, "symbol")  # None: a tag that names a strategy
BY_HAND: tuple[RuleKind, ...] = ("order", "trade")
NONE = "none"  # what belongs to no strategy is told by this name; no strategy has it
# `strat7` as well: the API of Kite takes letters and digits in a tag, and nothing else (Kite Connect v3, "Orders").
# As long as the API lets a strategy's name be: it stands in keys.
STRATEGY_TAG = re.compile(
    r"strat(?:egy_|:)(?P<named>[A-Za-z0-9_.\-]{1,64})|strat(?:egy)?(?P<number>[0-9]{1,64})", re.IGNORECASE
)


class Rule(msgspec.Struct, frozen=True):
    """A rule as it stands. n: of the event that set it, by which the newest is known."""

    rule: str
    strategy: str
    kind: RuleKind
    pattern: str
    account: str
    priority: int
    valid_from: date | None
    valid_to: date | None
    draft: bool
    n: int

    def holds(self, account: str, day: date) -> bool:
        """Say whether it is about orders of this account and day."""
        if self.account and self.account != account:
            return False
        return (self.valid_from is None or day >= self.valid_from) and (self.valid_to is None or day <= self.valid_to)


class Told(msgspec.Struct, frozen=True):
    """What an order or a trade is attributed by. day, tags: of the order. trade_id, trade_day: of a trade."""

    account: str
    day: date
    exchange: str
    tradingsymbol: str
    order_id: str
    trade_id: str
    tags: Sequence[str]
    trade_day: date | None = None  # where it is another one than the order's: it waited for the market's opening


class Attribution(NamedTuple):
    """Whose it is (None: nobody's) and why."""

    strategy: str | None
    reason: str


NOBODY = Attribution(None, "")


class Rules:
    """The rules of one moment, in the order in which they count."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Sort them by what counts first within one rank."""
        self._by_kind: dict[tuple[RuleKind, str], list[Rule]] = {}
        for rule in sorted(rules, key=lambda each: (-each.priority, -each.n)):
            # By hand there may be thousands, and each is about one order or trade: they are looked up, not searched.
            named = rule.pattern if rule.kind in BY_HAND else ""
            self._by_kind.setdefault((rule.kind, named), []).append(rule)

    def attribute(self, told: Told) -> Attribution:
        """Give whose it is, and why."""
        for rank in RANKS:
            found = _named(told.tags) if rank is None else self._ruled(rank, told)
            if found is not None:
                return found
        return NOBODY

    def _ruled(self, kind: RuleKind, told: Told) -> Attribution | None:
        for named in _by_hand(kind, told) if kind in BY_HAND else ("",):
            for rule in self._by_kind.get((kind, named), ()):
                if rule.holds(told.account, told.day) and (why := _meets(rule, told)):
                    return Attribution(rule.strategy, f"{why} (rule {rule.rule})")
        return None


def with_drafts(rules: Sequence[Rule]) -> list[Rule]:
    """Give the rules as they would stand if the drafts were applied: each in the place of the one of its name."""
    drafts = {rule.rule for rule in rules if rule.draft}
    return [rule for rule in rules if rule.draft or rule.rule not in drafts]


def _meets(rule: Rule, told: Told) -> str:
    """Say why a rule is about this; nothing where it is not."""
    if rule.kind == "tag":
        pattern = rule.pattern.lower()
        return next((f"tag {tag}" for tag in told.tags if fnmatchcase(tag.lower(), pattern)), "")
    if rule.kind == "symbol":
        name = f"{told.exchange}:{told.tradingsymbol}"
        return f"symbol {rule.pattern}" if fnmatchcase(name, rule.pattern) else ""
    if rule.kind == "order":
        return "by hand, the order"
    return "by hand, the trade" if told.trade_id else ""


def _by_hand(kind: RuleKind, told: Told) -> list[str]:
    """Give the patterns of rules by hand that are about this: an order is named by its day or by its trades'."""
    days = dict.fromkeys((told.day, told.trade_day or told.day))
    orders = [f"{day.isoformat()} {told.exchange} {told.order_id}" for day in days]
    return orders if kind == "order" else [f"{order} {told.trade_id}" for order in orders]


def _named(tags: Sequence[str]) -> Attribution | None:
    for tag in tags:
        found = STRATEGY_TAG.fullmatch(tag)
        strategy = (found["named"] or found["number"]) if found else NONE
        if strategy.lower() != NONE:
            return Attribution(strategy, f"tag {tag}")
    return None
