"""Kite's limits of requests, by API key: so many in any second, the rest is refused with 429."""

import collections

from ops.sandbox.envelope import too_many

# brokers.md and https://kite.trade/docs/connect/v3/exceptions/#api-rate-limit: requests a second.
PER_SECOND = {"quote": 1, "historical": 3, "other": 10}
WINDOW_SECONDS = 1.0


class Limits:
    """Counts requests by API key and kind; in memory, as the sandbox is one process."""

    def __init__(self, enforced: bool) -> None:
        """Refuse nothing where not `enforced`."""
        self._enforced = enforced
        self._taken: dict[tuple[str, str], collections.deque[float]] = {}

    def take(self, api_key: str, kind: str, now: float) -> None:
        """Count a request of `kind` ("quote", "historical", "other") at monotonic `now`, or raise its refusal."""
        if not self._enforced:
            return
        taken = self._taken.setdefault((api_key, kind), collections.deque(maxlen=PER_SECOND[kind]))
        if len(taken) == taken.maxlen and now - taken[0] < WINDOW_SECONDS:
            raise too_many()
        taken.append(now)
