"""The Procfile: one line for each program, `name: command`. It also serves honcho and systemd."""

import re
import shlex
import sys
from pathlib import Path

from runtime.errors import SettingError

PROCFILE = Path(__file__).resolve().parents[2] / "Procfile"

LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(\S.*)$")

OWN_COMMAND = "bahi"


def read(path: Path = PROCFILE) -> dict[str, list[str]]:
    """Return the command line of each program by name, in the file's order.

    Raises SettingError on a line that is neither `name: command` nor empty nor a comment, and without the file.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise SettingError(
            f"the list of programs in {path}",
            "no such file",
            "name one that is there",
        ) from None
    programs: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.match(line)
        if match is None:
            raise SettingError(f"`name: command` in line {number} of {path}", repr(line), "mend the line")
        programs[match[1]] = command(shlex.split(match[2]))
    return programs


def command(words: list[str]) -> list[str]:
    """Return `words` with our own command spelled so that it is found without the environment being active."""
    if words[0] != OWN_COMMAND:
        return words
    script = Path(sys.executable).with_name(OWN_COMMAND)
    own = [str(script)] if script.exists() else [sys.executable, "-m", "ops.cli"]
    return [*own, *words[1:]]
