#!/bin/sh
# Makes .venv from the lock: a Python of 3.11 to 3.14 found by name, uv where it works, pip otherwise.
# Called by `make` when the lock or the list of packages is newer than the last installation. $PYTHON names another interpreter.
set -eu
cd "$(dirname "$0")/.."

lock=requirements-dev.txt
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'

say() { printf 'venv: %s\n' "$*"; }
fail() { printf 'venv: %s\n' "$*" >&2; exit 2; }

find_python() {
    # A name on the PATH may be a shim of a version that is not installed, so each one is tried.
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$name" -c "$fits" >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    fail "wanted Python 3.11, 3.12, 3.13 or 3.14; found none on the PATH; install one or name it: make PYTHON=/path/to/python3.12"
}

with_uv() {
    command -v uv >/dev/null 2>&1 || return 1
    uv --version >/dev/null 2>&1 || return 1
    [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv || return 1
    uv pip install --quiet --python .venv/bin/python --require-hashes --requirement "$lock" || return 1
    uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable . || return 1
}

with_pip() {
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        rm -rf .venv
        "$python" -m venv .venv || fail "wanted a working 'python -m venv'; $python has none; install it (Debian, Ubuntu: apt install python3-venv) or install uv"
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
}

python=$(find_python)
if [ -e .venv ] && ! .venv/bin/python -c "$fits" >/dev/null 2>&1; then
    say "the Python of .venv is gone or of another version; making .venv anew"
    rm -rf .venv
fi
say "installing from $lock (the first time takes about a minute)"
with_uv || { say "uv is not there or did not work; using pip"; with_pip; }
.venv/bin/python -c 'import money, ops' || fail "wanted the packages of this checkout in .venv; found none; remove .venv and try again"
touch .venv/installed
say "ready: $(.venv/bin/python --version)"
