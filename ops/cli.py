"""The command `bahi`: one file a subcommand in `ops/commands`, errors printed one way.

    bahi <name> is ops/commands/<name>.py, whose `command` is a click command that returns an exit code.

`bahi --help` imports those files, so they import nothing heavy at their head: what works is imported inside the
function. Exit codes are those of `runtime.lifecycle`.
"""

import os
import pkgutil
import sys
from importlib import import_module
from typing import Any

import rich_click as click
from rich_click import RichGroup

from ops import commands
from runtime.errors import BahiError

ORDER = (
    "up",
    "status",
    "doctor",
    "verify",
    "explain",
    "parked",
    "alerts",
    "psql",
    "key",
    "login",
    "instruments",
    "backfill",
    "replay",
    "rebuild",
    "restored",
    "migrate",
    "sandbox",
    "ticks",
    "sync",
    "project",
    "archive",
    "api",
    "bench",
)
"""How help lists them: a user's day first, then the processes; one that is not named here comes last."""

EXIT_INTERRUPTED = 130
"""128 + SIGINT; `runtime.lifecycle` has the same, but takes long to import."""

EXIT_BROKEN_PIPE = 141
"""What a shell reports of a program whose reader went away: 128 + SIGPIPE."""


class Commands(RichGroup):
    """The subcommands that `ops/commands` holds."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click gives it
        """Give their names, in the order of a user's day."""
        names = [found.name for found in pkgutil.iter_modules(commands.__path__)]
        return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command by its name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{commands.__name__}.{cmd_name}").command
        command.name = cmd_name
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bahi", prog_name="bahi")
def root() -> None:
    """Bahi: the ledger of the Indian retail algo-trader.

    One append-only log of everything that the market and the brokers said; every table is derived from it.
    `bahi up` starts everything on this machine, with a sandbox exchange unless BROKER says otherwise.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code. The console script calls it."""
    try:
        return _code(root.main(arguments, prog_name="bahi", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BahiError as error:
        from runtime.lifecycle import report

        return report(error)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `bahi status | head`: Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _code(answer: Any) -> int:  # click hands on whatever a command returned, None for --help
    return answer if isinstance(answer, int) else 0


if __name__ == "__main__":
    sys.exit(main())
