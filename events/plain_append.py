"""Appends that compare nothing: the limits beside which `bahi bench append` measures the log. Nothing else uses them.

`Pipelined` is what most programs do: redis-py, a pipeline of XADDs with ids of the server's making. `ByHand` is what a
client can do at best: the same commands as bytes on a socket, their answers read by hiredis.
"""

import socket
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import hiredis
import redis

ANSWER_BYTES_MAX = 1 << 16
ANSWER_SECONDS_MAX = 30.0  # nothing here is retried: a server that takes so long ends the benchmark


class Pipelined:
    """XADD through redis-py."""

    def __init__(self, url: str) -> None:
        """Name the server."""
        self._client = redis.Redis.from_url(url)

    def append(self, stream: str, entries: Sequence[bytes]) -> None:
        """Append entries in one pipeline."""
        pipeline = self._client.pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(stream, {"e": entry})
        pipeline.execute()

    def forget(self, stream: str) -> None:
        """Drop a stream."""
        self._client.delete(stream)

    def memory_bytes(self, stream: str) -> int:
        """Give what a stream takes of the server's memory, counted to the last entry."""
        return int(self._client.memory_usage(stream, samples=0) or 0)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class ByHand:
    """XADD as bytes on a socket."""

    def __init__(self, url: str) -> None:
        """Connect and log in."""
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port or 6379), ANSWER_SECONDS_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        if parts.password:
            self._ask(_command(b"AUTH", unquote(parts.password).encode()), 1)

    def append(self, stream: str, entries: Sequence[bytes]) -> None:
        """Append entries, all in one write."""
        head = b"*5\r\n$4\r\nXADD\r\n" + _word(stream.encode()) + _word(b"*") + _word(b"e")
        pieces: list[bytes] = []
        for entry in entries:
            pieces += (head, b"$%d\r\n" % len(entry), entry, b"\r\n")
        self._ask(b"".join(pieces), len(entries))

    def _ask(self, request: bytes, answers: int) -> None:
        self._socket.sendall(request)
        while answers:
            answer = self._reader.gets()
            if answer is False:
                self._reader.feed(self._socket.recv(ANSWER_BYTES_MAX))
                continue
            if isinstance(answer, Exception):
                raise answer
            answers -= 1

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(map(_word, words))


def _word(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)
