"""`bahi up`."""

from pathlib import Path

import rich_click as click


@click.command()
@click.option("--procfile", type=click.Path(path_type=Path), help="Run the programs of this file, not of Bahi's own.")
def command(procfile: Path | None) -> int:
    """Start everything on this machine and print the URL to open.

    PostgreSQL and Redis of its own where DATABASE_URL and REDIS_URL are not set, then the migrations, then every
    program of the Procfile. One that ends is started again. Ctrl-C stops everything in order, a second one at once.
    """
    from ops import up
    from ops.supervisor.procfile import PROCFILE
    from runtime import settings

    return up.main(settings.load(), procfile or PROCFILE)
