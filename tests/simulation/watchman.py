"""Who looks from outside whether projectors move: the API's own observer, and a look at the truth beside it.

Invariant 8: idle with n below the last id, or a last id below the checkpoint, is an alarm after five seconds. The rules
for it read two metrics; here the observer that sets them is held against what the stores hold.
"""

from typing import Any

from prometheus_client import Gauge

from api.gauges import Labels
from api.observer import Checkpoint, Observer, Values
from runtime import metrics
from runtime.errors import BahiError
from tests.simulation.shape import PROJECTORS, STREAM
from tests.simulation.tables import Tables
from tests.simulation.timeline import pause

LOOK_SECONDS = 1.0  # as the observer itself does
ALARM_SECONDS = 5.0  # of the rules in ops/prometheus
SLACK_SECONDS = 3.0  # an answer may take its time, and between two looks there is one look's time
TRUTH_SECONDS = 0.2


class SimulatedApiTables:
    """What the observer asks of the API's tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def rows(self, statement: str, _: object, __: object) -> list[Checkpoint]:
        async def work() -> list[Checkpoint]:
            held = self._tables.checkpoints.items()
            return [Checkpoint(projector=pair[0], stream=pair[1], n=each.n) for pair, each in held]

        assert statement == "read_checkpoints", statement
        return await self._tables.world.call(self._tables, statement, work)


class Truth:
    """For how long a pair has been where nobody may leave it unseen, whoever looks."""

    def __init__(self, history: Any) -> None:
        self._history = history
        self.still_since: dict[str, float] = {}
        self.ahead_since: dict[str, float] = {}
        self._stood: dict[str, int] = {}

    def has_moved(self, name: str) -> bool:
        """Say whether a projector stands elsewhere than at the last look."""
        found = self._history.tables.checkpoints.get((name, STREAM))
        return not found or found.n != self._stood.get(name)

    def is_ahead(self, name: str) -> bool:
        """Say whether a projector is ahead of the log in this moment."""
        last = max(self._history.redis.memory._entries.get(STREAM, {}), default=0)
        found = self._history.tables.checkpoints.get((name, STREAM))
        return bool(found and found.n > last)

    async def follow(self) -> None:
        """Look for ever, without a network."""
        history = self._history
        while True:
            now = history.world.loop.now
            last = max(history.redis.memory._entries.get(STREAM, {}), default=0)
            for name in PROJECTORS:
                found = history.tables.checkpoints.get((name, STREAM))
                n = found.n if found else 0
                if not found or n >= last or self._stood.get(name) != n:
                    self.still_since[name] = now
                if not found or n <= last:
                    self.ahead_since[name] = now
                self._stood[name] = n
            await pause(TRUTH_SECONDS)


class Watchman(Observer):
    """The observer, which tells when it sees too little."""

    def __init__(self, history: Any, clock: Any, log: Any, archive: Any, truth: Truth) -> None:
        nothing: Any = None  # settings are for the far look
        tables: Any = SimulatedApiTables(history.tables)
        super().__init__(nothing, clock, tables, log, archive)
        self._history, self._truth = history, truth
        self._seen: dict[Gauge, Values] = {}
        self._looks_since: float | None = None  # since when every look was answered
        self._looked_at = 0.0

    def _show(self, gauge: Gauge, values: Values) -> None:
        self._seen[gauge] = values

    async def run(self) -> None:
        """Look once a second. Raises Violation."""
        world = self._history.world
        while True:
            began, self._seen = world.loop.now, {}
            if began - self._looked_at > 2 * LOOK_SECONDS:
                self._looks_since = None  # it was frozen
            try:
                await self.look()
            except BahiError:
                self._looks_since = None
            else:
                self._compare(began)
            self._looked_at = world.loop.now
            await pause(LOOK_SECONDS)

    def _compare(self, began: float) -> None:
        now = self._history.world.loop.now
        still, ahead = (self._seen[gauge] for gauge in (_STILL, _AHEAD))
        if not still or now - began > LOOK_SECONDS:
            self._looks_since = None  # a server was away, or took its time
            return
        self._looks_since = began if self._looks_since is None else self._looks_since
        watched = now - self._looks_since
        for name in PROJECTORS:
            pair: Labels = (name, STREAM)
            if self._truth.has_moved(name):
                continue
            stood = min(began - self._truth.still_since.get(name, began), watched)
            if stood > ALARM_SECONDS + SLACK_SECONDS and still.get(pair, 0.0) <= ALARM_SECONDS:
                raise self._violated(f"{name} stands still for {stood:.1f} s, and {still.get(pair)} s are told")
            stood = min(began - self._truth.ahead_since.get(name, began), watched)
            if stood > SLACK_SECONDS and self._truth.is_ahead(name) and not ahead.get(pair, 0.0):
                raise self._violated(f"{name} is ahead of the log for {stood:.1f} s, and nobody is told")

    def _violated(self, what: str) -> Exception:
        error: Exception = self._history.ledger.violated(f"(8) {what}")
        return error


_STILL, _AHEAD = metrics.CHECKPOINT_STILL_SECONDS, metrics.CHECKPOINT_AHEAD_EVENTS
