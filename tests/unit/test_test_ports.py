"""Ports that tests take: no two workers of a run may be given the same, be it for a server or for a node's bus."""

import itertools

import pytest

from tests import ports

OUTGOING_MIN = 32_768  # where Linux begins to take the ports of outgoing connections from


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
def test_no_two_workers_share_a_port(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", str(workers))
    given: list[set[int]] = []
    for number in range(workers):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{number}")
        nodes = range(*ports.share(ports.NODE_MIN, ports.NODE_MAX))
        buses = {port + ports.BUS_ABOVE for port in nodes}
        given += [set(nodes), buses, set(range(*ports.share(ports.PORT_MIN, ports.PORT_MAX)))]
    assert all(given)
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(given, 2))
    assert max(map(max, given)) < OUTGOING_MIN


def test_both_ports_of_a_node_are_free_and_given_once() -> None:
    first, second = ports.free_node_port(), ports.free_node_port()
    assert first != second
    assert {first, second} <= set(range(*ports.share(ports.NODE_MIN, ports.NODE_MAX)))
