"""Tickets for browsers' websockets, which cannot carry a header: made by a request that is let in, good once, 30 s."""

import secrets

from runtime.clock import Clock

TICKET_BYTES = 24
TICKET_SECONDS = 30.0  # from the answer to the handshake it takes milliseconds; a slow phone takes seconds
TICKETS_MAX = 1000  # open ones; a page needs one a connection


class Tickets:
    """The tickets that are open."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none."""
        self._clock = clock
        self._open: dict[str, float] = {}

    def make(self) -> str:
        """Give a new ticket; where too many are open the oldest is good no more."""
        now = self._clock.monotonic()
        self._open = {ticket: until for ticket, until in self._open.items() if until > now}
        while len(self._open) >= TICKETS_MAX:
            del self._open[next(iter(self._open))]
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        self._open[ticket] = now + TICKET_SECONDS
        return ticket

    def use(self, ticket: str) -> bool:
        """Say whether a ticket is good, and use it up."""
        until = self._open.pop(ticket, None)
        return until is not None and until > self._clock.monotonic()
