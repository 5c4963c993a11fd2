"""Takes the broker's virtual contract note into its table: what it says that each executed order costs.

Its rows name no order. They stand in the order of what was asked, and each repeats what the order was: one that is
about another instrument or side than was asked is kept aside, as is one that cannot be read.
"""

from typing import Any

from events.accounts import ChargesTold
from projectors.accounts import kite
from projectors.accounts.kite import Unread
from projectors.accounts.parameters import text
from projectors.accounts.reading import REMEDY, Reading
from projectors.accounts.touched import Touched
from projectors.bodies import opened
from runtime.calendar import book_day
from runtime.clock import instant
from runtime.errors import BadEvent
from sql.store import Rows

REPEATED = ("exchange", "tradingsymbol", "transaction_type", "product")  # what an answer's row says of its order


async def take(rows: Rows, touched: Touched, n: int, told: ChargesTold) -> list[Unread]:
    """Take an answer in; give its rows that cannot be read. Raises BadEvent for an event that is not as was written."""
    about = {"account": told.account, "broker": told.broker, "n": n}
    await rows.run("meet_account", about)
    found, unread = read(told)
    if found:
        day = book_day(told.answered_ns)  # if its orders do not say otherwise
        of = {"day": day, "asked_at": instant(told.asked_ns), "answered_at": instant(told.answered_ns)}
        await rows.run("keep_broker_charges", {**about, **of, "rows": text(found)})
        touched.note(told.account)
    return unread


def read(told: ChargesTold) -> tuple[list[dict[str, Any]], list[Unread]]:
    """Give the rows of an answer, and those that cannot be read; all of it where it is none of what was asked.

    Raises BadEvent where the event is not as it was written.
    """
    what = f"the charges of {told.account} of run {told.run}"
    asked = kite.parsed(what, opened(what, told.asked))
    body = opened(what, told.body)
    try:
        listed = kite.data_of("charges", body)
    except BadEvent as error:
        return [], [Unread(0, str(error), body)]
    if not isinstance(listed, list) or not isinstance(asked, list) or len(listed) != len(asked):
        odd = BadEvent("a row for each order that was asked about", f"{len(body)} bytes of others", REMEDY)
        return [], [Unread(0, str(odd), body)]
    found, unread = list[dict[str, Any]](), list[Unread]()
    for place, (order, item) in enumerate(zip(asked, listed, strict=True), 1):
        try:
            kite.refuse_unstorable(item)
            found.append(_row(Reading(order), Reading(item)))
        except BadEvent as error:
            unread.append(Unread(place, str(error), item))
    return found, unread


def _row(order: Reading, item: Reading) -> dict[str, Any]:
    for name in REPEATED:
        if item.text(name) not in (None, order.text(name)):
            raise BadEvent(f"{order.text(name)} in `{name}`, as was asked", repr(item.raw.get(name))[:80], REMEDY)
    charges = Reading(item.raw.get("charges"))
    return {
        **{name: order.needed_text(name) for name in ("order_id", "exchange", "tradingsymbol", "product")},
        "side": order.needed_text("transaction_type"),
        **{name: order.needed_number(name) for name in ("quantity", "average_price")},
        **{name: charges.number(name) for name in ("brokerage", "transaction_tax", "total")},
        "transaction_tax_type": charges.name("transaction_tax_type"),
        "exchange_charge": charges.number("exchange_turnover_charge"),
        "sebi": charges.number("sebi_turnover_charge"),
        "stamp": charges.number("stamp_duty"),
        "gst": Reading(charges.fields("gst")).number("total"),
        "raw": dict(item.raw),
    }
