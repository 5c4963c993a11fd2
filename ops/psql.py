"""`bahi psql`: PostgreSQL's own terminal on Bahi's tables, the system's or the one that came with the embedded server.

It takes this process's place, so that Ctrl-C and the exit code are psql's. The password goes by the environment: an
argument would stand in the list of processes.
"""

import os
import shutil
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit, urlunsplit

from ops.embedded import postgres
from ops.embedded.discover import connect_settings
from runtime.errors import SettingError
from runtime.settings import Settings

PROGRAM = "psql"


def run(settings: Settings, words: Sequence[str]) -> int:
    """Become psql. Raises SettingError where there is no database, or no psql."""
    ready = connect_settings(settings, ("database_url",))
    assert ready.database_url is not None, "connect_settings has seen to it"
    url, password = without_password(ready.database_url)
    environ = os.environ | ({"PGPASSWORD": password} if password else {})
    program = shutil.which(PROGRAM) or str(postgres.programs_folder() / PROGRAM)
    try:
        # By its whole path: without one psql looks for itself on the PATH, where it may not be.
        os.execve(program, [program, url, *words], environ)  # noqa: S606  # the user asked for this very program
    except OSError as error:
        raise SettingError("a psql that starts", str(error), "install PostgreSQL's client") from error


def without_password(url: str) -> tuple[str, str]:
    """Split a URL into one without password, and the password, empty where there is none."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, ""
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}")), unquote(parts.password)
