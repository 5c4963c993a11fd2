"""The real KiteTicker as a program: subscribes, and prints what its own parser makes of each message as JSON lines.

python tests/ticker_probe.py ROOT ACCESS_TOKEN MODE INSTRUMENT_TOKEN...
"""

import json
import sys
from datetime import datetime
from typing import Any

from kiteconnect import KiteTicker


def main(root: str, access_token: str, mode: str, tokens: list[int]) -> None:
    ticker = KiteTicker("sandbox", access_token, root=root)

    def on_connect(ticker: Any, _response: object) -> None:
        ticker.subscribe(tokens)
        ticker.set_mode(mode, tokens)

    def on_message(_ticker: object, payload: bytes, is_binary: bool) -> None:
        say({"raw": payload.hex(), "binary": is_binary})

    def on_ticks(_ticker: object, ticks: list[dict[str, Any]]) -> None:
        say({"ticks": ticks})

    def on_error(_ticker: object, code: int, reason: str) -> None:
        say({"error": [code, str(reason)]})

    ticker.on_connect, ticker.on_message, ticker.on_ticks, ticker.on_error = on_connect, on_message, on_ticks, on_error
    ticker.connect()


def say(line: dict[str, Any]) -> None:
    print(
        json.dumps(line, default=lambda value: int(value.timestamp()) if isinstance(value, datetime) else None),
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], [int(token) for token in sys.argv[4:]])
