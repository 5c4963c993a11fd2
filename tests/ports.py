"""Ports for tests: each is given once, and never to two workers of a run.

A port that is found free is taken by nobody until its server listens. Those of the kernel's choice (bind to port 0) lie
where outgoing connections come from, and a client that knocks before its server listens may be given the server's own
port as its source. So tests take theirs from below, where neither outgoing connections nor embedded servers are.
"""

import itertools
import os
import random

from ops.embedded import place

PORT_MIN, PORT_MAX = 10_000, place.PORT_MIN


def share(first: int, last: int) -> tuple[int, int]:
    """Give this worker's part of the ports from `first` to below `last`."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (last - first) // count
    return first + number * size, first + (number + 1) * size


def _own() -> "itertools.cycle[int]":
    first, last = share(PORT_MIN, PORT_MAX)
    begin = random.randrange(first, last)  # another run on this machine begins elsewhere
    return itertools.cycle([*range(begin, last), *range(first, begin)])


_ports = _own()


def free_port() -> int:
    """Give a port of 127.0.0.1 that is free now, and that no other test is given."""
    return next(port for port in _ports if place.is_free(port))
