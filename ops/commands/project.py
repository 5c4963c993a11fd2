"""`bahi project`."""

from pathlib import Path

import rich_click as click


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--trace", type=click.Path(path_type=Path), help="Write the time of each commit into this file.")
def command(names: tuple[str, ...], trace: Path | None) -> int:
    """Bring the tables up to the log: all projectors, or those that are named. Start it as often as you like."""
    from ops import process, project

    return process.run("project", lambda settings, stop: project.run(settings, stop, names, trace))
