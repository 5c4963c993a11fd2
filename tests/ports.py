"""Ports for tests: each is given once, and never to two workers of a run.

A port that is found free is taken by nobody until its server listens. Those of the kernel's choice (bind to port 0) lie
where outgoing connections come from, and a client that knocks before its server listens may be given the server's own
port as its source. So tests take theirs from below, where neither outgoing connections nor embedded servers are.

A node of a Redis Cluster listens twice: for clients, and BUS_ABOVE higher for the other nodes, who knock there all the
time while it is down. So both of its ports are given together, and both lie below that range.
"""

import itertools
import os
import random

from ops.embedded import place

BUS_ABOVE = 10_000  # Redis adds it; 6.2 lets nobody choose
NODE_MIN, NODE_MAX = 9_000, 10_000
BUS_MIN, BUS_MAX = NODE_MIN + BUS_ABOVE, NODE_MAX + BUS_ABOVE
PORT_MIN, PORT_MAX = NODE_MAX, BUS_MIN
assert BUS_MAX <= place.PORT_MIN, "no embedded server takes the bus port of a node that is down"


def share(first: int, last: int) -> tuple[int, int]:
    """Give this worker's part of the ports from `first` to below `last`."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (last - first) // count
    return first + number * size, first + (number + 1) * size


def _own(first: int, last: int) -> "itertools.cycle[int]":
    first, last = share(first, last)
    begin = random.randrange(first, last)  # another run on this machine begins elsewhere
    return itertools.cycle([*range(begin, last), *range(first, begin)])


_ports = _own(PORT_MIN, PORT_MAX)
_node_ports = _own(NODE_MIN, NODE_MAX)


def free_port() -> int:
    """Give a port of 127.0.0.1 that is free now, and that no other test is given."""
    return next(port for port in _ports if place.is_free(port))


def free_node_port() -> int:
    """Give the port of a node of a Redis Cluster; it and the one for the bus are free now, and no other node's."""
    return next(port for port in _node_ports if place.is_free(port) and place.is_free(port + BUS_ABOVE))
