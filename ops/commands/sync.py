"""`bahi sync`."""

import rich_click as click


@click.command()
def command() -> int:
    """Ask the broker's REST for instruments and accounts: on schedule, and on request."""
    from ops import process
    from producers import sync

    return process.run("sync", lambda settings, stop: sync.run(settings, stop, process.fence(settings)))
