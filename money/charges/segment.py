"""Which segment of the tariff an order belongs to, from what the broker says of its instrument."""

import re
from collections.abc import Mapping
from typing import Literal, get_args

from runtime.errors import BadEvent

Exchange = Literal["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"]
Segment = Literal[
    "equity_delivery",
    "equity_mtf",  # delivery bought on margin: taxed as delivery, with a brokerage of its own
    "equity_intraday",
    "equity_futures",
    "equity_options",
    "currency_futures",
    "currency_options",
    "commodity_futures",
    "commodity_options",
]
Column = Literal["cash", "derivatives", "currency", "commodity"]

SEGMENTS: tuple[Segment, ...] = get_args(Segment)
EXCHANGES: Mapping[Segment, tuple[Exchange, ...]] = {
    "equity_delivery": ("NSE", "BSE"),
    "equity_mtf": ("NSE", "BSE"),
    "equity_intraday": ("NSE", "BSE"),
    "equity_futures": ("NFO", "BFO"),
    "equity_options": ("NFO", "BFO"),
    "currency_futures": ("CDS", "BCD"),
    "currency_options": ("CDS", "BCD"),
    "commodity_futures": ("MCX", "NCO"),
    "commodity_options": ("MCX", "NCO"),
}
# The columns of a contract note, each added up and rounded by itself; commodities have a paper of their own.
COLUMNS: Mapping[Segment, Column] = {
    "equity_delivery": "cash",
    "equity_mtf": "cash",
    "equity_intraday": "cash",
    "equity_futures": "derivatives",
    "equity_options": "derivatives",
    "currency_futures": "currency",
    "currency_options": "currency",
    "commodity_futures": "commodity",
    "commodity_options": "commodity",
}
OPTIONS: frozenset[Segment] = frozenset({"equity_options", "currency_options", "commodity_options"})

# Cover and bracket orders cannot stay overnight, just as MIS.
_OF_PRODUCT: Mapping[str, Segment] = {
    "CNC": "equity_delivery",
    "MTF": "equity_mtf",
    "MIS": "equity_intraday",
    "BO": "equity_intraday",
    "CO": "equity_intraday",
}
_FUTURES: Mapping[str, Segment] = {
    "NFO": "equity_futures",
    "BFO": "equity_futures",
    "CDS": "currency_futures",
    "BCD": "currency_futures",
    "MCX": "commodity_futures",
    "NCO": "commodity_futures",
}
_OPTIONS: Mapping[str, Segment] = {
    "NFO": "equity_options",
    "BFO": "equity_options",
    "CDS": "currency_options",
    "BCD": "currency_options",
    "MCX": "commodity_options",
    "NCO": "commodity_options",
}

# NIFTY23JUL20600CE and GOLDPETAL23JULFUT by month; NIFTY2371317900PE by year, month (O, N, D from October on) and day.
# The name is as short as the rest allows, and may end in digits of its own: NIFTYNXT50, SENSEX50.
_CONTRACT = re.compile(
    r"(?P<name>.+?)\d\d"
    r"(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|[1-9OND](?:0[1-9]|[12]\d|3[01]))"
    r"(?:FUT|\d+(?:\.\d+)?(?:CE|PE))"
)


def segment_of(exchange: str, product: str, tradingsymbol: str, instrument_type: str = "") -> Segment:
    """Give the segment of an order or trade in Kite's words; `instrument_type` (EQ, FUT, CE, PE) where it is known.

    Raise BadEvent for an exchange, product or symbol from which no segment follows.
    """
    if exchange in ("NSE", "BSE"):
        if product not in _OF_PRODUCT:
            raise BadEvent(f"a product of {', '.join(_OF_PRODUCT)} on {exchange}", product, _REMEDY)
        return _OF_PRODUCT[product]
    if exchange not in _FUTURES:
        raise BadEvent(f"an exchange of {', '.join(get_args(Exchange))}", exchange, _REMEDY)
    kind = instrument_type or tradingsymbol
    if kind.endswith("FUT"):
        return _FUTURES[exchange]
    if kind.endswith(("CE", "PE")):
        return _OPTIONS[exchange]
    raise BadEvent(f"a future (FUT) or an option (CE, PE) on {exchange}", tradingsymbol, _REMEDY)


def name_of(tradingsymbol: str) -> str:
    """Give what a contract is on (NIFTY of NIFTY23JUL20600CE), or the symbol itself where it is no contract's."""
    found = _CONTRACT.fullmatch(tradingsymbol)
    return found["name"] if found else tradingsymbol


_REMEDY = "charges of this order cannot be reckoned; report it with the broker's line"
