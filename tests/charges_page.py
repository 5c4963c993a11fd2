"""The tables of docs/charges.md, made from the shipped tariff.

python -m tests.charges_page        writes them anew
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from money.charges import Tariff
from money.charges.rate import RUPEE, Brokerage, Dp, Gst, Rate, Stamp, TransactionTax
from money.charges.segment import EXCHANGES, SEGMENTS
from runtime.tariffs import shipped

PATH = Path(__file__).resolve().parents[1] / "docs" / "charges.md"
BEGIN, END = "<!-- rows: written by python -m tests.charges_page -->\n", "<!-- end of rows -->\n"
TITLES = {
    "brokerage": "Brokerage, of each executed order",
    "transaction_tax": "STT and CTT",
    "exchange": "The exchanges' charges",
    "sebi": "SEBI's fee",
    "stamp": "Stamp duty",
    "ipft": "The exchanges' investor protection funds",
    "clearing": "Clearing",
    "gst": "GST",
    "dp": "The depository, for each scrip and day",
}
HEAD = "| from | of | rate | source | note |\n|---|---|---|---|---|\n"


def tables(rates: Sequence[Rate]) -> str:
    """Give one table of rows for each kind of charge, as the page has them."""
    parts = []
    for kind, title in TITLES.items():
        rows = "".join(row(rate) for rate in rates if kind == rate.KIND)
        parts.append(f"### {title}\n\n{HEAD}{rows}")
    return "\n".join(parts)


def row(rate: Rate) -> str:
    """Give one line of a table; what is not certain says so in its note."""
    note = f"{'' if rate.confirmed else '**Not confirmed.** '}{rate.note}"
    of = ", ".join(rate.exchanges) + (": " if rate.exchanges else "") + _segments(rate)
    named = f"; {', '.join(rate.names)} only" if rate.names else ""
    return f"| {rate.first_day.isoformat()} | {of}{named} | {_charged(rate)} | {rate.source} | {note.strip()} |\n"


def _segments(rate: Rate) -> str:
    possible = [s for s in SEGMENTS if not rate.exchanges or set(rate.exchanges) & set(EXCHANGES[s])]
    if len(rate.segments) == len(SEGMENTS) or (rate.exchanges and set(rate.segments) == set(possible)):
        return "all"
    return ", ".join(segment.replace("_", " ") for segment in rate.segments)


def _charged(rate: Rate) -> str:
    match rate:
        case Brokerage():
            return _brokerage(rate)
        case TransactionTax():
            return _tax(rate)
        case Stamp():
            unit = "" if rate.note_unit == RUPEE else f", on notes to {_number(rate.note_unit)}"
            return f"{_percent(rate.percent)} of {_sides(rate.sides)}{unit}"
        case Gst():
            without = f"; Kite's virtual note not on {', '.join(rate.virtual_without)}" if rate.virtual_without else ""
            return f"{_percent(rate.percent)} on {', '.join(rate.on)}{without}"
        case Dp():
            free = f", nothing below a value of {_number(rate.free_below)}" if rate.free_below else ""
            return f"{_number(rate.amount)} and GST{free}"
        case _:
            return _percent(rate.percent)


def _brokerage(rate: Brokerage) -> str:
    least = f", on notes at least {_number(rate.note_least)}" if rate.note_least else ""
    if rate.flat is not None:
        return f"{_number(rate.flat)}{least}"
    cap = "" if rate.cap is None else f", at most {_number(rate.cap)}"
    return f"{_percent(rate.percent)}{cap}{least}"


def _tax(rate: TransactionTax) -> str:
    if not rate.tax:
        return "none"
    base = " (premium)" if rate.base == "premium" else ""
    basis = {"intrinsic": "intrinsic value", "settlement": "settlement price"}[rate.exercise_base]
    exercise = f"; exercised {_percent(rate.exercise_percent)} of the {basis}" if rate.exercise_percent else ""
    return f"{rate.tax.upper()} {_percent(rate.percent)} of {_sides(rate.sides)}{base}{exercise}"


def _sides(sides: Sequence[str]) -> str:
    return " and ".join({"BUY": "purchases", "SELL": "sales"}[side] for side in sides)


def _percent(percent: Decimal) -> str:
    return f"{_number(percent)}%"


def _number(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def with_tables(page: str) -> str:
    """Give the page with its tables as the shipped tariff has them."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables(Tariff.parse(shipped().text).rates)}\n{END}{after}"


def main() -> None:
    """Write the page."""
    PATH.write_text(with_tables(PATH.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
