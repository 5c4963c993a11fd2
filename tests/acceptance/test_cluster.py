"""The whole of Bahi on a Redis Cluster: a node is killed and comes back, a slot moves, and every tick is there once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import servers
from tests.acceptance.test_exactly_once import SETTINGS, flowing, further, settle, tell
from tests.redis_cluster import PRIMARIES, Cluster, running
from tests.stack import TICK_STREAM, Stack, select_nothing

DEAD_SECONDS = 3.0


def test_a_node_dies_and_a_slot_moves_under_load(
    data_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    """On three nodes: the ticks' slot moved while they flow, then its node killed with -9 and started again."""
    with servers.open_folder() as folder, running(folder, servers.TOOLS) as cluster:
        move_and_kill(cluster, data_dir, record_property)


def move_and_kill(cluster: Cluster, data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """Play it on a cluster."""
    with Stack(data_dir, REDIS_URL=cluster.url, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        target = (cluster.node_of(TICK_STREAM) + 1) % PRIMARIES
        cluster.begin_move(TICK_STREAM, target)
        cluster.carry(TICK_STREAM, target)
        stack.wait("rows come by ASK", further(stack))
        cluster.end_move(TICK_STREAM, target)
        stack.wait("rows come by MOVED", further(stack))
        cluster.kill(target)
        select_nothing(DEAD_SECONDS)
        cluster.start(target)
        stack.wait("rows come again", further(stack))
        account = settle(stack)
        assert account.gap_seconds == []
        tell(account, record_property)


@pytest.mark.prove
def test_replicas_take_over_under_load(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """The ticks' node killed for good, with a replica behind it that may lack the last entries: all is there once."""
    with servers.open_folder() as folder, running(folder, servers.TOOLS) as cluster:
        first = cluster.node_of(TICK_STREAM)
        replica = cluster.add_replica(of=first)
        with Stack(data_dir, REDIS_URL=cluster.all_urls, **SETTINGS) as stack:
            stack.start_all()
            flowing(stack)
            cluster.kill(first)
            stack.wait("the replica takes over", lambda: cluster.node_of(TICK_STREAM) == replica)
            stack.wait("rows come again", further(stack))
            account = settle(stack)
            assert account.gap_seconds == []
            tell(account, record_property)
