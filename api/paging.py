"""Places in a list, as one opaque word: a page's `next` is the next page's `cursor`."""

import base64
import binascii
from typing import TypeVar

import msgspec

from runtime.errors import BadInput

CURSOR_CHARACTERS_MAX = 1024

Place = TypeVar("Place")


def to_word(place: object) -> str:
    """Give the cursor of a place: the fields of its last row, in the list's order."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode("ascii").rstrip("=")


def from_word(word: str, shape: type[Place]) -> Place:
    """Give the place of a cursor. Raises BadInput where it is none of this list."""
    try:
        raw = base64.b64decode(word[:CURSOR_CHARACTERS_MAX] + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=shape)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise BadInput(
            "`cursor` as the page before gave it in `next`", f"{word[:40]!r} ({error})", "leave it out to begin"
        ) from error
