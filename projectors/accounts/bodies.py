"""The body of a snapshot as it came: from its event, from the numbered parts before it, or the one before it again."""

import hashlib

import zstandard

from events.accounts import Snapshot
from runtime.errors import BadEvent

BODY_BYTES_MAX = 256 * 1024 * 1024  # a day of 5,000 orders, Kite's most, is 5 MB; this bounds what a broken one claims


def unpacked(snapshot: Snapshot, packed: bytes) -> bytes:
    """Give the body of a snapshot. packed: its bytes, whole. Raises BadEvent where they are not what was written."""
    what = f"the {snapshot.kind} of {snapshot.account} of run {snapshot.run}"
    body = opened(what, packed)
    if hashlib.sha256(body).hexdigest() != snapshot.sha256:
        raise BadEvent(f"{what} as it came", "another checksum", "run bahi verify")
    return body


def opened(what: str, packed: bytes) -> bytes:
    """Decompress a body. what: for the error. Raises BadEvent where it cannot be, or is too large."""
    try:
        claimed = zstandard.get_frame_parameters(packed).content_size
        if claimed > BODY_BYTES_MAX:
            raise BadEvent(f"{what} of at most {BODY_BYTES_MAX} bytes", f"{claimed} claimed", "run bahi verify")
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=BODY_BYTES_MAX)
    except zstandard.ZstdError as error:
        raise BadEvent(f"{what}, compressed", str(error), "run bahi verify") from error
