"""`bahi project`."""

import rich_click as click


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def command(names: tuple[str, ...]) -> int:
    """Bring the tables up to the log: all projectors, or those that are named. Start it as often as you like."""
    from ops import process, project

    return process.run("project", lambda settings, stop: project.run(settings, stop, names))
