"""A Redis Cluster of real servers for tests: three primaries and, where a test asks for one, a replica.

Nodes may be killed and started again, replaced by their replica, and slots moved while somebody writes.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.crc import key_slot

from ops.embedded import place
from ops.embedded import redis as embedded_redis
from ops.embedded.place import write_private
from ops.embedded.server import Launch, Server
from ops.embedded.server import start as start_launch
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_node_port

SLOTS = 16_384
PRIMARIES = 3
DEATH_MS = 1_500  # a node that is silent for so long is given up by the others
NO_DEATH_MS = int(PATIENCE_SECONDS * 1000)  # where all nodes live on: one that a busy machine holds up is not dead
PASSWORD = "a-password-of-all-nodes"
CONFIG = f"""
cluster-enabled yes
cluster-config-file nodes.conf
cluster-require-full-coverage no
masterauth {PASSWORD}
"""
FAILOVER_SECONDS = 6.0  # Redis gives up a takeover that was asked for after five
LOOK_SECONDS = 0.02


class Everywhere(redis.RedisCluster):
    """A client that configures all nodes, and cuts the clients of all of them, as tests do with one server."""

    def execute_command(self, *words: Any, **options: Any) -> Any:
        if str(words[0]) in ("CONFIG SET", "CLIENT KILL"):
            options["target_nodes"] = self.ALL_NODES
        carry_out: Callable[..., Any] = super().execute_command  # the library leaves it untyped
        return carry_out(*words, **options)


class Cluster:
    """The nodes, the first three primaries. `url` names the first alone: it tells of the others."""

    def __init__(self, folder: Path, tools: Path, death_ms: int) -> None:
        self._folder, self._tools, self._death_ms = folder, tools, death_ms
        self.nodes: list[Server] = []

    @property
    def url(self) -> str:
        """Give the URL of the first node."""
        return self.nodes[0].url

    @property
    def all_urls(self) -> str:
        """Give the URL that names all nodes."""
        hosts = ",".join(f"127.0.0.1:{_port(node)}" for node in self.nodes)
        return f"redis://:{PASSWORD}@{hosts}/0"

    def form(self) -> None:
        """Start three primaries and make them one cluster."""
        for place_of in range(PRIMARIES):
            self.add()
            first, last = SLOTS * place_of // PRIMARIES, SLOTS * (place_of + 1) // PRIMARIES
            self.ask(place_of, "CLUSTER", "SET-CONFIG-EPOCH", place_of + 1)
            self.ask(place_of, "CLUSTER", "ADDSLOTS", *range(first, last))
        for node in self.nodes[1:]:
            self.ask(0, "CLUSTER", "MEET", "127.0.0.1", _port(node))
        wait("all nodes know of each other", lambda: all(self.is_whole(each) for each in range(PRIMARIES)))

    def add(self) -> int:
        """Start one more node, by itself; give its place."""
        folder = self._folder / f"node-{len(self.nodes)}"
        folder.mkdir()
        folder.chmod(0o755)
        self.nodes.append(start_launch(_launch(folder, self._tools, self._death_ms)))
        return len(self.nodes) - 1

    def add_replica(self, of: int) -> int:
        """Start a replica of a node, with all that it has; give its place."""
        node = self.add()
        self.ask(node, "CLUSTER", "MEET", "127.0.0.1", _port(self.nodes[of]))
        wait("the new node knows the others", lambda: self.is_whole(node) and len(self.known(node)) == len(self.nodes))
        self.ask(node, "CLUSTER", "REPLICATE", self.name(of))
        wait("it follows", lambda: self.info(node, "replication").get("master_link_status") == "up")
        others = range(len(self.nodes))
        wait("all know it", lambda: all(b"slave" in b"".join(self.known(each)) for each in others))
        return node

    def replace(self, by: int) -> None:
        """Let a replica take the place of the node that it follows: ask again where Redis gave it up."""
        asked = float("-inf")

        def has_taken_over() -> bool:
            nonlocal asked
            if self.info(by, "replication")["role"] == "master":
                return True
            if time.monotonic() - asked > FAILOVER_SECONDS:  # sooner it would begin anew each time
                asked = time.monotonic()
                with contextlib.suppress(redis.ResponseError):  # it may think for a moment that the other one is down
                    self.ask(by, "CLUSTER", "FAILOVER")
            return False

        wait("the replica takes over", has_taken_over)

    def is_whole(self, node: int) -> bool:
        """Say whether a node has seen all slots, at as many primaries as there are."""
        said = self.ask(node, "CLUSTER", "INFO")
        text = said if isinstance(said, dict) else dict(line.split(":") for line in said.decode().split())
        return (text["cluster_state"], int(text["cluster_size"])) == ("ok", PRIMARIES)

    def known(self, node: int) -> list[bytes]:
        """Give the lines of the nodes that a node knows."""
        with self.client(node) as client:
            client.set_response_callback("CLUSTER NODES", lambda said, **_: said)
            return bytes(client.execute_command("CLUSTER NODES")).splitlines()

    def info(self, node: int, section: str) -> dict[str, Any]:
        """Give what a node says of itself."""
        with self.client(node) as client:
            return dict(client.info(section))

    def name(self, node: int) -> str:
        """Give the name of a node among the others."""
        return bytes(self.ask(node, "CLUSTER", "MYID")).decode()

    def node_of(self, stream: str) -> int:
        """Give the place of the node that has a stream."""
        slot = key_slot(stream.encode())
        for first, last, primary, *_ in self._ranges():
            if first <= slot <= last:
                return next(place for place, node in enumerate(self.nodes) if _port(node) == primary[1])
        raise AssertionError(f"nobody has slot {slot}")

    def _ranges(self) -> list[Any]:
        for node in range(len(self.nodes)):
            with contextlib.suppress(redis.ConnectionError), self.client(node) as client:
                client.set_response_callback("CLUSTER SLOTS", lambda said, **_: said)
                return list(client.execute_command("CLUSTER SLOTS"))
        raise AssertionError("no node answers")

    def client(self, node: int) -> redis.Redis:
        """Give a client of one node."""
        return redis.Redis.from_url(self.nodes[node].url)

    def ask(self, node: int, *command: str | int) -> Any:
        """Send a command to one node."""
        with self.client(node) as client:
            return client.execute_command(*command)

    def begin_move(self, stream: str, target: int) -> None:
        """Begin to move the slot of a stream: what is not on its node any more is asked for at the target."""
        slot, source = key_slot(stream.encode()), self.node_of(stream)
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.name(source))
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.name(target))

    def carry(self, stream: str, target: int) -> None:
        """Carry a stream over; the map still names the old node."""
        port, wait_ms = _port(self.nodes[target]), int(PATIENCE_SECONDS * 1000)
        source = self.node_of(stream)
        said = self.ask(source, "MIGRATE", "127.0.0.1", port, stream, 0, wait_ms, "AUTH", PASSWORD)
        assert said in (b"OK", b"NOKEY", True), said

    def end_move(self, stream: str, target: int) -> None:
        """Tell all primaries where the slot is now."""
        slot, source, name = key_slot(stream.encode()), self.node_of(stream), self.name(target)
        for node in (target, source, *(each for each in range(PRIMARIES) if each not in (target, source))):
            self.ask(node, "CLUSTER", "SETSLOT", slot, "NODE", name)

    def kill(self, node: int) -> None:
        """End a node as a power cut would."""
        os.kill(self.nodes[node].pid, signal.SIGKILL)
        self.nodes[node].process.wait()

    def start(self, node: int) -> None:
        """Start a killed node again, with what its file has."""
        self.nodes[node] = start_launch(self.nodes[node].launch)

    def empty(self) -> None:
        """Drop all keys, scripts and other clients."""
        for node in self.nodes:
            with redis.Redis.from_url(node.url) as client:
                client.client_kill_filter(_type="normal", skipme=True)
                client.flushall()
                client.script_flush()

    def stop(self) -> None:
        """End all nodes at once: nobody needs their files any more, and one may take seconds to put them in order."""
        for node in self.nodes:
            node.process.kill()
        for node in self.nodes:
            node.process.wait()


def wait(what: str, holds: Callable[[], bool]) -> None:
    """Look until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_SECONDS:.0f} s"
        signal.sigtimedwait([], LOOK_SECONDS)


def _launch(folder: Path, tools: Path, death_ms: int) -> Launch:
    """Prepare a node: an embedded Redis with the password of all, and ports from where the nodes of tests have them."""
    (folder / "secrets").mkdir()
    write_private(folder / "secrets" / "redis.password", PASSWORD)
    port = free_node_port()
    with pytest.MonkeyPatch.context() as patch:  # the one port that it can find
        patch.setattr(place, "PORT_MIN", port)
        patch.setattr(place, "PORT_MAX", port + 1)
        launch = embedded_redis.prepare(folder, tools)
    with (launch.folder / "redis.conf").open("a") as file:
        file.write(f"{CONFIG}cluster-node-timeout {death_ms}\n")
    return launch


def _port(node: Server) -> int:
    port = urlsplit(node.url).port
    assert port is not None
    return port


@contextlib.contextmanager
def running(folder: Path, tools: Path, death_ms: int = DEATH_MS) -> Iterator[Cluster]:
    """Run a cluster of three until the context ends."""
    cluster = Cluster(folder, tools, death_ms)
    try:
        cluster.form()
        yield cluster
    finally:
        cluster.stop()
