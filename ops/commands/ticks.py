"""`bahi ticks`."""

import rich_click as click


@click.command()
def command() -> int:
    """Take ticks from BROKER and append them to the log. Needs Redis to hand them on, and nothing else."""
    from ops import process
    from ops.embedded.discover import REDIS
    from producers import ticks

    return process.run("ticks", ticks.run, REDIS)
