"""A place in several streams, as one opaque word that means "after this".

The word is the base64url of JSON `{"stream": n}`: it stays good after a rebuild, because n never changes.
"""

import base64
import binascii
import re

import msgspec

from runtime.errors import BadInput

CURSOR_CHARACTERS_MAX = 4096  # some hundred streams; longer words are nobody's cursor
N_MAX = 2**53  # Redis' scripts count in doubles; a stream of a million events a second gets there in 285 years
STREAM_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")  # it is a Redis key and a folder: nothing else comes from outside

Position = dict[str, int]


def to_word(position: Position) -> str:
    """Give the cursor of a position (stream to the last n seen)."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position, order="sorted")).decode("ascii").rstrip("=")


def from_word(word: str) -> Position:
    """Give the position of a cursor. Raises BadInput where it is not one of ours."""
    if len(word) > CURSOR_CHARACTERS_MAX:
        raise _refused(word, f"{len(word)} characters")
    try:
        raw = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        position = msgspec.json.decode(raw, type=Position)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise _refused(word, str(error)) from error
    for stream, n in position.items():
        if not STREAM_NAME.fullmatch(stream) or not 0 <= n < N_MAX:
            raise _refused(word, "a stream or a number that cannot be")
    return position


def _refused(word: str, why: str) -> BadInput:
    return BadInput("a cursor as Bahi gave it", f"{word[:40]!r} ({why})", "send the last one of an answer, or none")
