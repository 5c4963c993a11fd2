"""Kite's limits of requests, by API key: so many in any second, the rest is refused with 429."""

import collections

from ops.sandbox.envelope import too_many

# https://kite.trade/docs/connect/v3/exceptions/#api-rate-limit: so many requests in so many seconds.
WINDOWS = {
    "quote": ((1, 1.0),),
    "historical": ((3, 1.0),),
    "order": ((10, 1.0), (400, 60.0)),
    "other": ((10, 1.0),),
}


class Limits:
    """Counts requests by API key and kind; in memory, as the sandbox is one process."""

    def __init__(self, enforced: bool) -> None:
        """Refuse nothing where not `enforced`."""
        self._enforced = enforced
        self._taken: dict[tuple[str, str, int], collections.deque[float]] = {}

    def take(self, api_key: str, kind: str, now: float) -> None:
        """Count a request of a kind of WINDOWS at monotonic `now`, or raise its refusal."""
        if not self._enforced:
            return
        windows = [
            (self._taken.setdefault((api_key, kind, most), collections.deque(maxlen=most)), seconds)
            for most, seconds in WINDOWS[kind]
        ]
        if any(len(taken) == taken.maxlen and now - taken[0] < seconds for taken, seconds in windows):
            raise too_many()
        for taken, _ in windows:
            taken.append(now)
