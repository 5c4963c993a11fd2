"""Misbehaviour on request: what POST /sandbox/faults takes, and what it then does.

    drop          cut the TCP connection without a word
    freeze        send and read nothing for `seconds`, keep TCP open
    repeat        send the next `count` messages twice
    reorder       turn the packets of the next `count` messages round; with "what": "frames" swap messages instead
    cut           end the next `count` messages `keep_bytes` after the start of their last packet, so that what they
                  declare exceeds their bytes
    unknown       add to the next `count` messages a packet of a length that nobody knows
    slow          send at most `bytes_per_second` for `seconds`
    refuse        answer the next `count` handshakes with 403, whatever their token
    expire_token  end every session, or those of `user`, and, unless "keep_sockets" is true, drop their sockets as well

A fault is for all connections, or for the one that `connection` numbers. What was changed is journalled as it was
sent, with its oddity.

What goes wrong with answers of REST (`ops/sandbox/trouble.py`) holds for `count` of them, or for `lasting` seconds; for
all, or for those of `user`, of a `kind` of path, or both:

    refuse_token    403 (`status` 401), as if the token were wrong
    too_many        429
    server_error    500 (`status` 502, 503, 504)
    html            502 (`status` 200, 403, 500, 503, 504) with the page of a proxy
    latency         the answer comes `delay` seconds later
    half            half of a body, then the end of the connection
    strings         every number is a text
    no_tags         orders have no `tags`; with "what": "null" they have null there
    unknown_status  the newest order of the list has a status that Kite does not have
    empty           an empty list where there was one that may not have been
"""

import time
from collections.abc import Callable

import msgspec

from ops.sandbox import trouble
from ops.sandbox.connection import Connection
from ops.sandbox.envelope import input_refused
from ops.sandbox.hub import Hub
from ops.sandbox.session import Sessions
from ops.sandbox.trouble import Rule, Trouble
from ops.sandbox.wire import FULL_BYTES

SECONDS_MAX = 3_600.0
COUNT_MAX = 1_000_000
KEPT_MAX = 100  # of the list that GET /sandbox/faults shows
WHATS = {"reorder": ("packets", "frames"), "no_tags": ("missing", "null")}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request for misbehaviour; the module says which fields a fault uses."""

    fault: str
    count: int = 1
    seconds: float = 10.0
    connection: int | None = None
    bytes_per_second: float = 10_000.0
    what: str = ""
    keep_bytes: int = 2
    keep_sockets: bool = False
    user: str | None = None
    kind: str | None = None
    status: int = 0
    delay: float = 0.05
    lasting: float | None = None


class Faults:
    """Carries out faults and remembers the last of them."""

    def __init__(self, hub: Hub, sessions: Sessions, meddler: Trouble) -> None:
        """Work on these clients, sessions and answers."""
        self.done: list[dict[str, object]] = []
        self._hub = hub
        self._sessions = sessions
        self._trouble = meddler
        self._on_each: dict[str, Callable[[Connection, Fault], None]] = {
            "drop": lambda connection, _: connection.drop(),
            "freeze": lambda connection, fault: connection.freeze(fault.seconds),
            "slow": _slow,
            "repeat": _spoil("repeat"),
            "cut": _cut,
            "unknown": _spoil("unknown"),
            "reorder": lambda connection, fault: _spoil(f"reorder_{fault.what or 'packets'}")(connection, fault),
        }

    def commit(self, fault: Fault) -> dict[str, object]:
        """Do it now; give what was done, with how many connections it met. Raise `Refusal` for a wrong request."""
        _check(fault, [*self._on_each, "refuse", "expire_token", *trouble.FAULTS])
        chosen = [c for c in self._hub if fault.connection in (None, c.peer.number)]
        if fault.fault in trouble.FAULTS:
            self._trouble.add(_rule(fault))
            chosen = []
        elif fault.fault == "refuse":
            self._hub.refusals = fault.count
        elif fault.fault == "expire_token":
            self._sessions.expire(fault.user)
            chosen = [] if fault.keep_sockets else [c for c in chosen if fault.user in (None, c.peer.user)]
        for connection in chosen:
            self._on_each.get(fault.fault, self._on_each["drop"])(connection, fault)
        met = {"at_ns": time.time_ns(), **msgspec.structs.asdict(fault), "connections": len(chosen)}
        self.done = [*self.done, met][-KEPT_MAX:]
        return met

    def answers(self) -> list[dict[str, object]]:
        """Show the rules about answers of REST that still hold."""
        now = time.monotonic()
        return [
            {**msgspec.structs.asdict(rule), "until": None if rule.until is None else rule.until - now}
            for rule in self._trouble.rules
            if not rule.is_over(now)
        ]

    def pending(self) -> list[dict[str, object]]:
        """Show for each connection what is still to come."""
        now = time.monotonic()
        return [
            {
                "connection": connection.peer.number,
                "messages": {name: count for name, count in connection.mischief.counts.items() if count},
                "frozen_seconds": max(0.0, connection.mischief.frozen_until - now),
                "slow_seconds": max(0.0, connection.mischief.slow_until - now),
            }
            for connection in self._hub
        ]

    def clear(self) -> None:
        """Let everything run well again."""
        self._hub.refusals = 0
        self._trouble.rules = []
        for connection in self._hub:
            connection.mend()


def _check(fault: Fault, known: list[str]) -> None:
    if fault.fault not in known:
        raise input_refused(f"Wanted a fault of {', '.join(known)}, found {fault.fault!r}")
    whats = WHATS.get(fault.fault, ())
    if fault.what and fault.what not in whats:
        raise input_refused(f"Wanted `what` to be one of {', '.join(whats) or 'none'}, found {fault.what!r}")
    if not 0 <= fault.keep_bytes < FULL_BYTES:
        raise input_refused(f"Wanted `keep_bytes` from 0 to {FULL_BYTES - 1}, found {fault.keep_bytes}")
    if not all(
        0 < seconds <= SECONDS_MAX for seconds in (fault.delay, SECONDS_MAX if fault.lasting is None else fault.lasting)
    ):
        raise input_refused(f"Wanted `delay` and `lasting` above 0 and up to {SECONDS_MAX:.0f} s, found {fault}")
    if not (0 < fault.seconds <= SECONDS_MAX and 0 < fault.count <= COUNT_MAX and fault.bytes_per_second > 0):
        raise input_refused(
            f"Wanted seconds up to {SECONDS_MAX:.0f}, a count up to {COUNT_MAX} and a speed, all above 0; found {fault}"
        )


def _rule(fault: Fault) -> Rule:
    return Rule(
        fault=fault.fault,
        user=fault.user,
        kind=fault.kind,
        status=fault.status,
        what=fault.what,
        delay=fault.delay,
        left=fault.count,
        until=None if fault.lasting is None else time.monotonic() + fault.lasting,
    )


def _spoil(name: str) -> Callable[[Connection, Fault], None]:
    def spoil(connection: Connection, fault: Fault) -> None:
        """Note how many messages are to be spoiled."""
        connection.mischief.counts[name] += fault.count

    return spoil


def _cut(connection: Connection, fault: Fault) -> None:
    connection.mischief.cut_keep_bytes = fault.keep_bytes
    connection.mischief.counts["cut"] += fault.count


def _slow(connection: Connection, fault: Fault) -> None:
    connection.mischief.bytes_per_second = fault.bytes_per_second
    connection.mischief.slow_until = time.monotonic() + fault.seconds
