"""A place in several streams, as one opaque word that means "after this".

The word is the base64url of JSON `{"stream": n}`: it stays good after a rebuild, because n never changes.
"""

import base64
import binascii

import msgspec

from runtime.errors import BadInput

CURSOR_CHARACTERS_MAX = 4096  # some hundred streams; longer words are nobody's cursor

Position = dict[str, int]


def to_word(position: Position) -> str:
    """Give the cursor of a position (stream to the last n seen)."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position, order="sorted")).decode("ascii").rstrip("=")


def from_word(word: str) -> Position:
    """Give the position of a cursor. Raises BadInput where it is not one of ours."""
    try:
        if len(word) > CURSOR_CHARACTERS_MAX:
            raise ValueError(f"{len(word)} characters")
        raw = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        position = msgspec.json.decode(raw, type=Position)
        if any(n < 0 for n in position.values()):
            raise ValueError("a negative number")
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise BadInput("a cursor as Bahi gave it", f"{word[:40]!r} ({error})", "leave it out to begin now") from error
    return position
