"""Values as statements of the accounts take them: rows as JSON, and text that PostgreSQL can hold."""

import msgspec

_json = msgspec.json.Encoder(decimal_format="number")


def text(value: object) -> str:
    """Give a value as JSON, its numbers with all their digits."""
    return _json.encode(value).decode()


def plain(told: str) -> str:
    """Give a text as PostgreSQL takes it: without the character 0, also where JSON has escaped it."""
    return told.replace("\x00", "\ufffd").replace("\\u0000", "\ufffd")
