"""What does not agree between our books and the broker, from sums of both; nothing is asked here, and nothing kept.

Promise: where every fill is known and nothing happened beside them, there is no divergence. What there is has one type,
and says why.

    ours      what is open in the books of a line, over all strategies
    theirs    contracts, intraday: the net position's quantity, 0 where the broker lists none
              shares (CNC, MTF): what the depository had in the morning, and the net position of today
    apart     theirs - ours; less the fills that orders say are missing; the rest is typed:

    conversion        of one instrument one product has too much, what others have too little
    manual_trade      the broker has something that no fill and no opening lot of ours is about
    corporate_action  shares in a ratio to ours, as splits and bonus issues have it
    expired           a contract whose time is over, and that the broker does not list any more
    missing_fill      orders were filled and their trades did not come; or the broker closed an intraday position
    quantity          any other

Where quantities agree, prices are compared, but only where every method of reckoning gives the same: `average_price`
of what is open where none of it was ever closed, or all of it is of today; `pnl` of a line that has only today's trades
(Kite: what sales came to less what purchases came to, and what is open at the last price).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from projectors.accounts.compared import (
    ZERO,
    Compared,
    Divergence,
    Foreign,
    Key,
    Line,
    Missing,
)
from projectors.accounts.expiry import expiry
from projectors.accounts.first_lots import SHARES
from runtime.calendar import IST

INTRADAY = ("MIS", "CO", "BO")  # closed by the broker, if not by the user, before the day is over
# Shares after for shares before: splits and bonus issues, then consolidations. Rarer ones (11 for 10) would be found
# where somebody bought a share more.
RATIOS = (
    *((2, 1), (5, 1), (10, 1), (3, 1), (4, 1), (6, 1), (20, 1), (100, 1), (3, 2), (5, 2), (4, 3), (5, 3)),
    *((5, 4), (6, 5), (7, 5), (1, 2), (1, 4), (1, 5), (1, 10), (1, 100)),
)
COST_TOLERANCE = Decimal("0.01")  # of what shares cost: brokers round the new average, and drop fractions
# Brokers that round an average to paise are up to half of one away; those that do not, by the digits of a float.
AVERAGE_TOLERANCE = Decimal("0.005")
AVERAGE_TOLERANCE_OF_PRICE = Decimal("0.0001")
PNL_TOLERANCE = Decimal("0.01")  # rupees: the broker gives a float, some round it to paise


def divergences(
    lines: Iterable[Line], missing: Iterable[Missing], foreign: Iterable[Foreign], days: Mapping[str, date]
) -> list[Divergence]:
    """Compare an account. days: by kind, on which IST day the broker last answered; a kind that never came is absent.

    Where positions never came nothing open is compared, and shares only where holdings came too.
    """
    compared = _compared(lines, missing, days)
    converted = _converted(compared)
    found: list[Divergence] = []
    for each in compared:
        if each.missing:
            found.append(_missing(each))
        if each.rest and each.instrument in converted:
            others = [other for other in compared if other.instrument == each.instrument and other is not each]
            listed = {other.product: other.rest for other in others if other.rest}
            found.append(each.found("conversion", other_products=listed))
        elif each.rest:
            found.append(_typed(each, days["positions"]))
        elif each.is_answered and not each.missing:
            found += _prices(each)
    return [*found, *_placed_elsewhere(foreign, found)]


def _compared(lines: Iterable[Line], missing: Iterable[Missing], days: Mapping[str, date]) -> list[Compared]:
    found: dict[Key, Compared] = {}
    for line in lines:
        each = found.setdefault(_key(line), Compared(line.exchange, line.tradingsymbol, line.product))
        each.lines.append(line)
        if line.has_held:  # the exchange that holdings name
            each.exchange = line.exchange
    for order in missing:
        wanted = Compared(order.exchange, order.tradingsymbol, order.product)
        found.setdefault(_key(order), wanted).missing.append(order)
    for each in found.values():
        needed = ("positions", "holdings") if each.product in SHARES else ("positions",)
        each.is_answered = all(kind in days for kind in needed)
    return sorted(found.values(), key=lambda each: (each.exchange, each.tradingsymbol, each.product))


def _key(one: Line | Missing) -> Key:
    """Name what is compared as one."""
    return ("" if one.product in SHARES else one.exchange, one.tradingsymbol, one.product)


def _converted(compared: Iterable[Compared]) -> set[Key]:
    """Give the instruments of which some products have too much, exactly what others have too little."""
    rests: dict[Key, list[Decimal]] = defaultdict(list)
    for each in compared:
        if each.rest:
            rests[each.instrument].append(each.rest)
    return {instrument for instrument, listed in rests.items() if not sum(listed)}


def _missing(each: Compared) -> Divergence:
    """Say which orders' fills are missing: filled by the trades that came, and by the orders."""
    orders = [
        {
            "day": order.day,
            "order_id": order.order_id,
            "side": order.side,
            "filled_quantity": order.filled_quantity,
            "traded_quantity": order.traded_quantity,
        }
        for order in each.missing
    ]
    traded = sum((order.traded_quantity for order in each.missing), ZERO)
    filled = sum((order.filled_quantity for order in each.missing), ZERO)
    return each.priced("missing_fill", traded, filled, orders=orders)


def _typed(each: Compared, day: date) -> Divergence:
    """Say of what kind the rest is. day: of the newest positions."""
    if not any(line.books for line in each.lines) and not each.missing:
        return each.found("manual_trade", unexplained=each.rest)
    if each.product in SHARES and (action := _action(each)):
        return each.found("corporate_action", unexplained=each.rest, **action)
    if each.product not in SHARES and not any(line.has_net for line in each.lines):
        ends = expiry(each.exchange, each.tradingsymbol)
        if ends and ends.first < day:
            return each.found("expired", unexplained=each.rest, expiry_from=ends.first, expiry_to=ends.last)
        last = max((line.last_at for line in each.lines if line.last_at), default=None)
        if each.product in INTRADAY and not each.missing and last and last.astimezone(IST).date() < day:
            return each.found("missing_fill", unexplained=each.rest, closed_by="the broker, overnight", last_fill=last)
    return each.found("quantity", unexplained=each.rest)


def _action(each: Compared) -> dict[str, Any] | None:
    """Give the ratio of the broker's shares in the morning to ours, and the actions that would make it."""
    theirs, ours = each.theirs - each.today, each.theirs - each.today - each.rest
    if ours <= 0 or theirs <= 0:
        return None
    ratio = next(((new, old) for new, old in RATIOS if ours >= old and ours * new // old == theirs), None)
    if ratio is None:
        return None
    new, old = ratio
    kinds = ("split", "bonus") if new > old else ("split",)
    actions = [{"kind": kind, "ratio_old": old, "ratio_new": new} for kind in kinds]
    return {"ratio": f"{new}:{old}", "actions": actions, "cost_is_kept": _is_cost_kept(each, theirs)}


def _is_cost_kept(each: Compared, theirs: Decimal) -> bool | None:
    """Tell whether the broker's shares cost what ours cost; None where it does not say."""
    price = next((line.held_price for line in each.lines if line.held_price), None)
    cost = sum((line.open_value for line in each.lines), ZERO)
    return abs(price * theirs - cost) <= COST_TOLERANCE * abs(cost) if price and cost else None


def _prices(each: Compared) -> list[Divergence]:
    """Compare what quantities that agree were made at."""
    found = [_average(each)]
    found += [_pnl(each, line) for line in each.lines if line.is_same_day]
    return [one for one in found if one]


def _average(each: Compared) -> Divergence | None:
    theirs, ours, by = _held_average(each) if each.product in SHARES else _net_average(each.lines[0])
    if not theirs or ours is None:
        return None
    if abs(theirs - ours) <= max(AVERAGE_TOLERANCE, AVERAGE_TOLERANCE_OF_PRICE * ours):
        return None
    return each.priced("average_price", ours, theirs, quantity=each.ours, reckoned_of=by)


def _held_average(each: Compared) -> tuple[Decimal | None, Decimal | None, str]:
    """Give the averages of shares of which none was ever sold, on a day without trades."""
    told = [line.held_price for line in each.lines if line.has_held and line.mtf is None]
    if len(told) != 1 or not each.ours or any(line.closes or line.is_traded or line.has_net for line in each.lines):
        return None, None, ""
    return told[0], sum((line.open_value for line in each.lines), ZERO) / each.ours, "all purchases"


def _net_average(line: Line) -> tuple[Decimal | None, Decimal | None, str]:
    """Give the averages of an open position: of today's side, or of one of which nothing was ever closed."""
    if not line.quantity:
        return None, None, ""
    if line.is_same_day:
        bought = line.quantity > 0
        quantity, value = (line.bought, line.bought_value) if bought else (line.sold, line.sold_value)
        assert quantity, "what is open was traded today"
        assert value is not None, "what was traded has a value"
        return line.average_price, value / quantity, "today's purchases" if bought else "today's sales"
    if line.closes:
        return None, None, ""
    return line.average_price, line.open_value / line.quantity / line.multiplier, "all fills"


def _pnl(each: Compared, line: Line) -> Divergence | None:
    if line.pnl is None or (line.last_price is None and line.traded):
        return None
    flow = (line.sold_value or ZERO) - (line.bought_value or ZERO)
    ours = (flow + line.traded * (line.last_price or ZERO)) * (line.net_multiplier or Decimal(1))
    if abs(ours - line.pnl) <= PNL_TOLERANCE:
        return None
    named = Compared(line.exchange, each.tradingsymbol, each.product)
    return named.priced("pnl", ours, line.pnl, last_price=line.last_price, bought=line.bought, sold=line.sold)


def _placed_elsewhere(foreign: Iterable[Foreign], found: Sequence[Divergence]) -> list[Divergence]:
    """Say of which lines orders were placed by somebody else; one that is there already takes them as evidence."""
    made = {(one.exchange, one.tradingsymbol, one.product): one for one in found if one.type == "manual_trade"}
    added: list[Divergence] = []
    for order in foreign:
        key = (order.exchange, order.tradingsymbol, order.product)
        if key not in made:
            made[key] = Divergence(*key, "manual_trade", ZERO, ZERO, {})
            added.append(made[key])
        one = made[key]
        told = {"day": order.day, "order_id": order.order_id, "side": order.side, "placed_by": order.placed_by}
        one.evidence.setdefault("orders", []).append({**told, "filled_quantity": order.filled_quantity})
        if one in added:
            one.theirs += order.filled_quantity if order.side == "BUY" else -order.filled_quantity
    return added
