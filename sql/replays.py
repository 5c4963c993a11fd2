"""Where a replay projects into: a schema `replay_<name>`, which is kept until somebody drops it.

It is made like a rebuild's, and never taken for one: rebuilds look for names of their own, and nothing of it is ever
put in the place of live tables. A takeover of the log raises its epochs as those of all others.
"""

import re
from collections.abc import Sequence

from runtime.errors import BadInput
from sql.beside import Beside
from sql.pool import connect, reaching
from sql.statements import statements

PREFIX = "replay_"
NAME = re.compile(r"replay_[a-z0-9_]{1,50}")  # PostgreSQL keeps 63 characters of a name


class Stage(Beside):
    """One replay's tables."""

    def __init__(self, database_url: str, name: str, projector: str, tables: Sequence[str]) -> None:
        """Name the schema. Raises BadInput for a name that is not a replay's."""
        super().__init__(database_url, projector, tables)
        if not NAME.fullmatch(name):
            wanted = f"a schema {PREFIX}..., in small letters, digits and _, at most 57 of them"
            raise BadInput(wanted, repr(name), f"call it {PREFIX}{projector}, for example")
        self._name = name

    @property
    def schema(self) -> str:
        """Give its name."""
        return self._name

    async def make(self, version: int) -> None:
        """Make it, whole or not at all. Raises BadInput where there is one of that name, Unreachable."""
        connection = await connect(self.database_url, self.owner)
        try:
            async with reaching(f"to make {self.schema}"), connection.transaction():
                wanted = {"schema": self.schema, "tables": self._tables, "projector": self.projector}
                found = await (await connection.execute(statements["schema_is_there"], wanted)).fetchone()
                if found and found["there"]:
                    remedy = f"{how_to_drop(self.schema)}, or name another one with --schema"
                    raise BadInput(f"no schema {self.schema} yet", "one, which is kept until it is dropped", remedy)
                await connection.execute(statements["make_replay"], {**wanted, "version": version})
        finally:
            await connection.close()


def how_to_drop(schema: str) -> str:
    """Give the command that drops a replay's schema."""
    return f'bahi psql -c "drop schema {schema} cascade"'
