"""The body of an answer as it came: what the log holds compressed, with the checksum under which it was written."""

import hashlib

import zstandard

from runtime.errors import BadEvent

# A real list of instruments is 7 MB, a day of 5,000 orders, Kite's most, 5 MB; this bounds what a broken one claims.
BODY_BYTES_MAX = 256 * 1024 * 1024
REMEDY = "run bahi verify"


def unpacked(what: str, packed: bytes, sha256: str, remedy: str = REMEDY) -> bytes:
    """Give a body. what: for errors; packed: its bytes, whole. Raises BadEvent where they are not what was written."""
    body = opened(what, packed, remedy)
    if hashlib.sha256(body).hexdigest() != sha256:
        raise BadEvent(f"{what} as it came", "another checksum", REMEDY)
    return body


def opened(what: str, packed: bytes, remedy: str = REMEDY) -> bytes:
    """Decompress a body. what: for the error. Raises BadEvent where it cannot be, or is too large."""
    try:
        claimed = zstandard.get_frame_parameters(packed).content_size
        if claimed > BODY_BYTES_MAX:
            raise BadEvent(f"{what} of at most {BODY_BYTES_MAX} bytes", f"{claimed} claimed", remedy)
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=BODY_BYTES_MAX)
    except zstandard.ZstdError as error:
        raise BadEvent(f"{what}, compressed", str(error), remedy) from error
