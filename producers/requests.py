"""What users asked for, as a producer follows it: the `requests` streams, each from where it was left.

The position and what was made of the requests are kept by the consumer in one small file beside its spool, written
whole; the log can give it again. A repeated idempotency key is dropped.
"""

from pathlib import Path
from typing import TypeVar

import msgspec

from events import disk
from events.event import Recorded
from events.reader import Reader
from runtime.errors import SettingError

PREFIX = "requests"
KEYS_MAX = 1000  # idempotency keys remembered; a repeat comes within seconds, not after a thousand others

StateT = TypeVar("StateT", bound="State")


class State(msgspec.Struct, kw_only=True):
    """What every consumer of requests keeps. positions: stream to the last n taken; keys: the newest last."""

    positions: dict[str, int] = {}
    keys: list[str] = []

    def is_new(self, key: str) -> bool:
        """Say whether a request with this idempotency key was not taken before, and remember it."""
        if not key:
            return True
        if key in self.keys:
            return False
        self.keys = [*self.keys[-KEYS_MAX + 1 :], key]
        return True


async def follow(reader: Reader, state: State) -> list[Recorded]:
    """Give the requests that came since, moving `state.positions`; the caller keeps the state when it has acted.

    Raises Unreachable.
    """
    found: list[Recorded] = []
    for stream in await reader.streams():
        if stream != PREFIX and not stream.startswith(f"{PREFIX}-"):
            continue
        batch = await reader.read(stream, state.positions.get(stream, 0))
        if batch:
            state.positions[stream] = batch[-1].n
            found += batch
    return found


def load(path: Path, kind: type[StateT]) -> StateT:
    """Give the state kept at `path`, a new one where there is none. Raises SettingError for a broken file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return kind()
    except msgspec.DecodeError as error:
        raise SettingError(f"a state file in {path}", str(error), "delete it: the log gives it again") from error


def keep(path: Path, state: State) -> None:
    """Write the state, whole and durable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.create(path, msgspec.json.encode(state))
