"""What a rule is about, by its kind: a tag, an instrument, an order or a trade; checked, and as it stands in the log.

`*` stands for any characters, `?` for one, `[AB]` for one of these, in tags and symbols. Tags are compared without
regard to upper and lower case; symbols are upper case.
"""

from datetime import date

from api.decisions import words
from events.accounts import RuleKind
from runtime.errors import BadInput

PATTERN_CHARACTERS_MAX = 100  # two of the longest symbols; a tag has 20 on Kite
BY_HAND = {"order": "DAY EXCHANGE ORDER_ID", "trade": "DAY EXCHANGE ORDER_ID TRADE_ID"}


def checked_pattern(kind: RuleKind, text: str) -> str:
    """Give a pattern as a rule has it. Raises BadInput for one that could never meet anything."""
    if kind in BY_HAND:
        return _by_hand(kind, text)
    found = words.plain("pattern", text, PATTERN_CHARACTERS_MAX)
    if kind == "tag":
        if not found:
            raise BadInput("a tag in `pattern`, `*` for any characters", "nothing", "send it: breakout*")
        return found
    exchange, colon, symbol = found.upper().partition(":")
    if not (exchange and colon and symbol):
        raise BadInput(
            "EXCHANGE:SYMBOL in `pattern`, `*` for any characters", repr(text[:60]), "send it whole: NFO:NIFTY*"
        )
    return f"{exchange}:{symbol}"


def of_ids(day: date, exchange: str, order_id: str, trade_id: str = "") -> tuple[RuleKind, str]:
    """Give the kind and pattern of a rule by hand. Raises BadInput for what no broker's ids are."""
    parts = [words.day("day", day).isoformat(), words.exchange(exchange), words.identifier("order_id", order_id)]
    if not trade_id:
        return "order", " ".join(parts)
    return "trade", " ".join([*parts, words.identifier("trade_id", trade_id)])


def _by_hand(kind: RuleKind, text: str) -> str:
    parts = text.split()
    if len(parts) != len(BY_HAND[kind].split()):
        raise BadInput(
            f"{BY_HAND[kind]} in `pattern` of kind {kind}",
            repr(text[:60]) if text else "nothing",
            "POST /api/attributions makes such a rule from ids",
        )
    try:
        day = date.fromisoformat(parts[0])
    except ValueError as error:
        raise BadInput("an IST day such as 2026-04-13 in `pattern`", repr(parts[0][:60]), "correct it") from error
    return of_ids(day, *parts[1:])[1]
