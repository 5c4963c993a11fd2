"""The schema that the migrations give on plain PostgreSQL, as `pg_dump` writes it.

python -m tests.schema        writes sql/schema.sql anew
"""

import re
import subprocess
from pathlib import Path

from ops.embedded import postgres
from tests import servers

PATH = Path(__file__).resolve().parents[1] / "sql" / "schema.sql"
HEAD = """\
-- What the migrations give on plain PostgreSQL: to be read, and to be compared by a test; nothing runs it.
-- Written by: python -m tests.schema
"""
NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n", re.MULTILINE)


def dump(url: str) -> str:
    """Give the schema of a database, without comments and settings, one empty line between two commands."""
    programs = postgres.programs_folder()
    command = [str(programs / "pg_dump"), "--schema-only", "--no-owner", "--no-privileges", "--dbname", url]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    return HEAD + "\n" + re.sub(r"\n{2,}", "\n\n", NOISE.sub("", made.stdout)).strip() + "\n"


def main() -> None:
    """Write the file."""
    with servers.postgres_server() as server, servers.cloned_database(server) as url:
        PATH.write_text(dump(url))


if __name__ == "__main__":
    main()
