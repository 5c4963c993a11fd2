"""`bahi parked`."""

from typing import Any

import rich_click as click

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object.")
NO_WAIT = click.option("--no-wait", is_flag=True, help="Do not wait until it is carried out.")
BY = click.option("--by", default="", help="Who says so, where several share one Bahi.")
LIST_MAX = 1000


def _place(function: Any) -> Any:  # click's decorators take any function
    for decorate in (
        click.argument("n", type=click.IntRange(min=1)),
        click.argument("stream"),
        click.argument("projector"),
    ):
        function = decorate(function)
    return function


@click.group(invoke_without_command=True)
@AS_JSON
@click.pass_context
def command(context: click.Context, as_json: bool) -> int | None:
    """Look at events that could not be stored, try them again after a fix, or set them aside.

    Without a word behind it, it lists them.
    """
    if context.invoked_subcommand is None:
        code: int = context.invoke(list_parked, as_json=as_json)
        return code
    return None


@command.command(name="list")
@click.option("--projector", help="Those of this projector.")
@click.option("--stream", help="Those of this stream.")
@click.option("--state", type=click.Choice(["waiting", "retry_wanted", "set_aside"]), help="Those in this state.")
@click.option("--limit", type=click.IntRange(1, LIST_MAX), default=100, help="How many at once.")
@click.option("--cursor", help="Go on behind a page: it says with what.")
@AS_JSON
def list_parked(
    projector: str | None, stream: str | None, state: Any, limit: int, cursor: str | None, as_json: bool
) -> int:
    """List parked events, with what was decided about each. It asks the database itself."""
    import asyncio

    from ops.parked import look, shown
    from runtime import settings
    from sql.parked import Filter

    found = asyncio.run(look.page(settings.load(), Filter(projector, stream, state), cursor, limit))
    if as_json:
        _print(found)
    else:
        shown.show_list(found)
    return 0


@command.command()
@_place
@AS_JSON
def show(projector: str, stream: str, n: int, as_json: bool) -> int:
    """Show one: decoded as far as it goes, its bytes, and what was decided and tried. It asks the stores themselves."""
    import asyncio

    from ops.parked import look, shown
    from runtime import settings

    found = asyncio.run(look.case(settings.load(), (projector, stream, n)))
    if as_json:
        _print(found)
    else:
        shown.show_case(found)
    return 0


@command.command()
@_place
@click.option("--reason", default="", help="What was mended.")
@BY
@NO_WAIT
@AS_JSON
def retry(projector: str, stream: str, n: int, reason: str, by: str, no_wait: bool, as_json: bool) -> int:
    """Read one again, after a fix. Exit 1 if it is refused again; then it stays as it was."""
    return _decide("retry", (projector, stream, n), (reason, by), wait=not no_wait, as_json=as_json)


@command.command(name="set-aside")
@_place
@click.option("--reason", required=True, help="Why nothing is to be done about it.")
@BY
@NO_WAIT
@AS_JSON
def set_aside(projector: str, stream: str, n: int, reason: str, by: str, no_wait: bool, as_json: bool) -> int:
    """Decide that nothing is to be done about one. It stays parked, and `bahi doctor` asks no more."""
    return _decide("set-aside", (projector, stream, n), (reason, by), wait=not no_wait, as_json=as_json)


def _decide(verb: str, place: tuple[str, str, int], words: tuple[str, str], *, wait: bool, as_json: bool) -> int:
    import asyncio

    from ops.parked import decide
    from runtime import lifecycle, settings

    decided = asyncio.run(decide.decide(settings.load(), verb, place, words, wait=wait))
    if as_json:
        _print(decided)
    else:
        print(decided.told(verb, place))
    return lifecycle.EXIT_FAILED if decided.refused else lifecycle.EXIT_OK


def _print(found: object) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
