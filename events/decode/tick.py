"""The one shape of a decoded tick: a numpy row a packet, every field eight bytes.

All eight-byte fields let a decoder cast a broker's words into the row in one go and mend the prices in place.
"""

import numpy as np
import numpy.typing as npt

DEPTH_LEVELS = 5

# kind: what the packet was, and so which fields it carries
LTP, QUOTE, FULL, INDEX_QUOTE, INDEX_FULL = 1, 2, 3, 4, 5

# flags, added up
TIME_IS_RECEIPT = 1  # the packet has no time: `time_ns` is when we received it
TIME_REFUSED = 2  # the packet's time is nonsense: `time_ns` is when we received it

LEVEL = np.dtype([("quantity", "<i8"), ("price", "<f8"), ("orders", "<i8")])

HEAD_WORDS = 5
TICK = np.dtype(
    [
        ("n", "<i8"),  # of the event in its stream
        ("at_ns", "<i8"),  # received, UTC epoch nanoseconds
        ("time_ns", "<i8"),  # the exchange's time, or the receive time where `flags` says so
        ("kind", "<i8"),
        ("flags", "<i8"),
        ("instrument_token", "<i8"),
        ("last_price", "<f8"),
        ("last_quantity", "<i8"),
        ("average_price", "<f8"),
        ("volume", "<i8"),  # of the day so far
        ("buy_quantity", "<i8"),
        ("sell_quantity", "<i8"),
        ("open", "<f8"),  # of the day, as the three that follow
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),  # of the day before
        ("last_trade_ns", "<i8"),
        ("oi", "<i8"),
        ("oi_high", "<i8"),
        ("oi_low", "<i8"),
        ("exchange_ns", "<i8"),  # as it came, also where it is nonsense
        ("bids", LEVEL, (DEPTH_LEVELS,)),
        ("asks", LEVEL, (DEPTH_LEVELS,)),
    ]
)
WORDS = TICK.itemsize // 8
assert WORDS == HEAD_WORDS + 46, "a full packet of 46 words fits behind the head"

Ticks = npt.NDArray[np.void]


def column(field: str) -> int:
    """Give the place of a field among the row's eight-byte words."""
    fields = TICK.fields
    assert fields is not None, "TICK is a structured type"
    return int(fields[field][1]) // 8
