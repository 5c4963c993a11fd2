"""Made-up histories of one book: fills that flip, fill partly and share a second, lots taken over, splits, bonuses."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

from hypothesis import strategies as st

from money.pnl.entry import Action, Charge, Entry, EntryId, Fill, Opening, place

FIRST_DAY = date(2026, 4, 1)
OPENS = datetime(2026, 4, 1, 3, 45, tzinfo=UTC)  # 09:15 IST of FIRST_DAY

prices = st.decimals(0, 5000, places=2) | st.decimals("80", "90", places=7)
paise = st.decimals("-10", "100", places=2)
quantities = st.integers(1, 12).map(Decimal)
days = st.integers(0, 3)
seconds = st.integers(0, 2)
Kind: TypeAlias = Literal["split", "bonus"]
Side: TypeAlias = Literal["BUY", "SELL"]
ACTIONS: tuple[tuple[Kind, int, int], ...] = (
    ("split", 5, 1),
    ("split", 1, 10),
    ("split", 7, 3),
    ("bonus", 1, 1),
    ("bonus", 1, 3),
)
SIDES: tuple[Side, ...] = ("BUY", "SELL")


def at(day: int, second: int = 0) -> datetime:
    """Give a time in a session, in UTC."""
    return OPENS + timedelta(days=day, seconds=second)


def known(day: int, trade_id: str, order_id: str = "1") -> EntryId:
    return EntryId(FIRST_DAY + timedelta(days=day), "NSE", order_id, trade_id)


def bought(quantity: str, price: str, day: int = 0, trade_id: str = "1", second: int = 0) -> Fill:
    return Fill(known(day, trade_id), at(day, second), "BUY", Decimal(quantity), Decimal(price))


def sold(quantity: str, price: str, day: int = 0, trade_id: str = "2", second: int = 0) -> Fill:
    return Fill(known(day, trade_id), at(day, second), "SELL", Decimal(quantity), Decimal(price))


@st.composite
def histories(draw: st.DrawFn, *, with_actions: bool = True, least: int = 0) -> list[Entry]:
    """Draw entries in their order, of one multiplier."""
    multiplier = draw(st.sampled_from([Decimal(1), Decimal(1), Decimal(1250), Decimal("0.5")]))
    entries: list[Entry] = []
    for number in range(draw(st.integers(least, 14))):
        day, second = draw(days), draw(seconds)
        name, kind = known(day, str(number), draw(st.sampled_from(["9", "10"]))), draw(st.integers(0, 9))
        if kind == 0:
            signed = draw(quantities) * draw(st.sampled_from([1, -1]))
            entries.append(Opening(name, at(0, -1 - number), signed, draw(prices), multiplier))
        elif kind == 1 and with_actions:
            entries.append(Action(name, *draw(st.sampled_from(ACTIONS))))
        elif kind == 2:
            entries.append(Charge(name, at(day, second), draw(paise)))
        else:
            side = draw(st.sampled_from(SIDES))
            entries.append(Fill(name, at(day, second), side, draw(quantities), draw(prices), multiplier))
    return sorted(entries, key=place)
