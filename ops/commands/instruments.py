"""`bahi instruments`."""

import rich_click as click


@click.group()
def command() -> None:
    """Ask a running Bahi about instruments."""


@command.command()
def sync() -> int:
    """Have the broker's list of instruments fetched now. The REST worker does it, also when it is down just now."""
    from ops import own_api
    from runtime import settings

    print(own_api.ask(settings.load(), "POST", "/api/instruments/sync").decode())
    return 0
