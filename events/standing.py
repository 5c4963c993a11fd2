"""What a spool folder remembers of a refusal, from one start of its writer to the next (design rules 6 and 7b).

(no file)   nothing happened
refused     the log holds something else than this writer has: its next start takes the stream over
taken over  it did; refused again within AGAIN_SECONDS, somebody else writes: then
stopped     it does not start until a person has stopped the other one and removed the file
"""

from pathlib import Path
from typing import Literal

import msgspec

from events import disk
from runtime.errors import SpoolMismatch

NAME = "standing.json"
AGAIN_SECONDS = 3600  # two writers refuse each other within seconds; two disasters are not expected within an hour
NS_PER_SECOND = 1_000_000_000


class Standing(msgspec.Struct, frozen=True):
    """How the folder's writer stands: since when (UTC epoch ns), why, and the n of the last log.takeover."""

    state: Literal["refused", "taken over", "stopped"]
    at_ns: int
    why: str
    n: int = 0
    lost: int = 0
    again: int = 0


def read(folder: Path) -> Standing | None:
    """Give what the folder remembers. Raises SpoolMismatch where the file cannot be read as that."""
    try:
        content = disk.read(folder / NAME)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=Standing)
    except msgspec.DecodeError as error:
        raise SpoolMismatch(f"{folder / NAME} as it was written", str(error), "remove it, then start again") from error


def keep(folder: Path, standing: Standing) -> None:
    """Remember, durably. Raises Unreachable on a full disk."""
    disk.create(folder / NAME, msgspec.json.encode(standing))


def refused(folder: Path, why: str, now_ns: int) -> Standing:
    """Remember that the writer was refused; give what that makes of it: refused, or stopped."""
    before = read(folder)
    again = (
        before is not None and before.state == "taken over" and now_ns - before.at_ns < AGAIN_SECONDS * NS_PER_SECOND
    )
    standing = Standing("stopped" if again else "refused", now_ns, why)
    keep(folder, standing)
    return standing
