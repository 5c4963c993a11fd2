"""How each account's pulls stand, in Redis, for programs that do not ask the API: the hash `health:accounts`.

It follows from what `bahi sync` has just seen, and nobody in Bahi reads it: lost, it is written again; wrong, it
misleads whoever looks, and nothing else. It is one key, so that it lies on one node of a cluster and is read in one
command.
"""

from collections.abc import Mapping, Sequence

from events.redis_log import Script, reaching
from events.redis_nodes import Nodes

KEY = "health:accounts"
# It is written every minute at least (producers.accounts.health). Ten of them without a word: nobody pulls, or Redis is
# not reached, and what stands there is about another day.
LIVES_SECONDS = 600


class HealthBoard:
    """The hash: account -> JSON."""

    def __init__(self, redis_url: str) -> None:
        """No connection is made before the first writing."""
        self._nodes = Nodes(redis_url)
        self._write = Script(self._nodes, "health.lua")

    async def write(self, accounts: Sequence[str], news: Mapping[str, bytes]) -> None:
        """Put up what is new; take down who is none of `accounts`. Raises Unreachable."""
        names = [each.encode() for each in accounts]
        told = [part for account, text in news.items() for part in (account.encode(), text)]
        async with reaching(f"write of {KEY}"):
            await self._write(KEY, LIVES_SECONDS * 1000, len(names), *names, *told)

    async def close(self) -> None:
        """Close all connections."""
        await self._nodes.close()
