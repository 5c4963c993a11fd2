"""`bahi ticks`."""

import rich_click as click


@click.command()
def command() -> int:
    """Take ticks from BROKER and append them to the log. Goes on with Redis and PostgreSQL away."""
    from ops import process
    from producers import ticks

    return process.run("ticks", lambda settings, stop: ticks.run(settings, stop, process.fence(settings)))
