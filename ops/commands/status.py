"""`bahi status`."""

import rich_click as click

WATCH_SECONDS = 1.0
"""The API looks at most once a second."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as it is.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
def command(as_json: bool, watch: bool) -> int:
    """Show how everything stands: feeds, streams, projectors with their lag, gaps, and what is wrong."""
    import time

    import msgspec
    from rich.console import Console
    from rich.live import Live

    from api.status import Status
    from ops import own_api, standing
    from runtime import settings

    loaded = settings.load()

    def look() -> bytes:
        return own_api.ask(loaded, "GET", "/api/status")

    if as_json:
        print(look().decode())
        return 0
    console = Console()
    if not watch:
        console.print(standing.shown(msgspec.json.decode(look(), type=Status)))
        return 0
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(standing.shown(msgspec.json.decode(look(), type=Status)), refresh=True)
            time.sleep(WATCH_SECONDS)
