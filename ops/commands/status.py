"""`bahi status`."""

import rich_click as click

LOOK_SECONDS = 1.0
"""As often as beats come."""

PLAIN_COLUMNS = 200
"""Where no terminal sets a width, nothing is cut."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything once, as one JSON object.")
@click.option("--once", is_flag=True, help="Show it once, also on a terminal.")
def command(as_json: bool, once: bool) -> int:
    """Show how everything stands: feeds, streams, projectors with their lag, servers, and what is wrong.

    On a terminal it is shown again every second, until Ctrl-C. It asks the stores themselves, so it works with the API
    down, and with everything stopped.
    """
    import asyncio

    import msgspec
    from rich.console import Console
    from rich.live import Live

    from ops import status
    from ops.facts.gather import Facts, gather
    from runtime import settings
    from runtime.clock import SystemClock

    loaded = settings.load()

    def look() -> Facts:
        return asyncio.run(gather(loaded, SystemClock()))

    if as_json:
        facts = look()
        said = {**msgspec.structs.asdict(facts), "problems": status.troubles(facts)}
        print(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())
        return 0
    console = Console(highlight=False)
    if once or not console.is_terminal:
        plain = console if console.is_terminal else Console(highlight=False, width=PLAIN_COLUMNS)
        plain.print(status.shown(look()))
        return 0

    async def watch() -> None:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                live.update(status.shown(await gather(loaded, SystemClock())), refresh=True)
                await asyncio.sleep(LOOK_SECONDS)

    asyncio.run(watch())
    return 0
