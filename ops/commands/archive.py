"""`bahi archive`."""

import rich_click as click


@click.command()
def command() -> int:
    """Copy closed segments of the log to ARCHIVE_URL, and trim Redis to what is archived."""
    from ops import archiver, process
    from ops.embedded.discover import REDIS

    return process.run("archive", archiver.run, REDIS)
