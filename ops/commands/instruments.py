"""`bahi instruments`."""

import rich_click as click


@click.group()
def command() -> None:
    """Ask a running Bahi about instruments."""


@command.command()
@click.option("--no-wait", is_flag=True, help="Do not wait until the list is there.")
def sync(no_wait: bool) -> int:
    """Have the broker's list of instruments fetched now. The REST worker does it, also when it is down just now."""
    import asyncio

    from ops import instruments
    from runtime import settings

    print(asyncio.run(instruments.sync(settings.load(), wait=not no_wait)))
    return 0
