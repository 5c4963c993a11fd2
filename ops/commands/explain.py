"""`bahi explain`."""

import rich_click as click


@click.command()
@click.argument("stream")
@click.argument("n", type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object.")
def command(stream: str, n: int, as_json: bool) -> int:
    """Show the whole life of event N of STREAM: where it lies, what it says, the rows and candles that it became."""
    import asyncio

    import msgspec

    from ops.explain import life, shown
    from runtime import settings

    found = asyncio.run(life.look_up(settings.load(), stream, n))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        shown.show(found)
    return 0
