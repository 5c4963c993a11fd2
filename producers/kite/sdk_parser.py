"""The SDK's own parser of frames, which Bahi does without: what the speed of `events.decode` is measured against."""

from collections.abc import Callable
from typing import Any

from kiteconnect import KiteTicker


def make() -> Callable[[bytes], list[dict[str, Any]]]:
    """Give the parser (kiteconnect 5.2, ticker.py): a frame's bytes to a dictionary for each packet."""
    parse: Callable[[bytes], list[dict[str, Any]]] = KiteTicker("key", "token")._parse_binary
    return parse
