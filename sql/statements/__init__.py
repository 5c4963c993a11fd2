"""Every SQL statement of Bahi by its name: one file a table, `-- name: purpose`, then the statement.

`statements["move_checkpoint"]` is the only way to SQL. Parameters are bound, never pasted in. They are the same on
plain PostgreSQL and on TimescaleDB: what differs lies behind functions of one name in `sql/migrations/0002_ticks.*`.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import LiteralString

_HEAD = re.compile(r"^-- (?P<name>[a-z][a-z0-9_]*): (?P<purpose>\S.*)$", re.MULTILINE)


def parse(text: str, origin: str) -> dict[str, LiteralString]:
    """Give the statements of one file by name. Raises ValueError for text in front of the first name."""
    heads = list(_HEAD.finditer(text))
    if not heads or text[: heads[0].start()].strip():
        raise ValueError(f"wanted '-- name: purpose' at the top of {origin}")
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {head["name"]: text[head.end() : end].strip().rstrip(";") for head, end in zip(heads, ends, strict=True)}


def _load(folder: Traversable) -> dict[str, LiteralString]:
    found: dict[str, LiteralString] = {}
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if not file.name.endswith(".sql"):
            continue
        for name, statement in parse(file.read_text("utf-8"), file.name).items():
            if name in found:
                raise ValueError(f"wanted one statement {name}, found a second in {file.name}")
            found[name] = statement
    return found


statements: Mapping[str, LiteralString] = _load(files("sql.statements"))
