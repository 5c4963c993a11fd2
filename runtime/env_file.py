"""The file `.env` in the folder where `bahi` is started: lines of `NAME=value`, comments, nothing else.

A line that cannot be read stops the process, as a wrong setting does: half a file would be taken for the whole. Values
are never shown, they may be secrets.
"""

import io
from pathlib import Path

from dotenv.parser import parse_stream

from runtime.errors import SettingError

REMEDY = "write it anew; .env.example is a file to start from"


def read(path: Path) -> dict[str, str]:
    """Give the values by name, none where there is no such file. Raises SettingError for one that cannot be read."""
    if not path.is_file():
        return {}  # a folder of this name holds somebody's Python
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingError(f"{path} to be readable", error.strerror or str(error), f"chmod u+r {path}") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{path} to be text", f"no UTF-8 from byte {error.start} on", REMEDY) from error
    lines = list(parse_stream(io.StringIO(text)))
    for line in lines:
        if line.error or "\0" in line.original.string:
            found = f"something else in line {line.original.line}"
            raise SettingError(f"{path} to hold lines of NAME=value", found, f"mend the line, or {REMEDY}")
    return {line.key: line.value for line in lines if line.key and line.value is not None}
