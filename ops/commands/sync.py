"""`bahi sync`."""

import rich_click as click


@click.command()
def command() -> int:
    """Ask the brokers' REST for accounts, instruments and history, on schedule and on request."""
    from ops import process
    from ops.embedded.discover import REDIS
    from producers import sync

    return process.run("sync", sync.run, REDIS)
