"""`bahi api`."""

import rich_click as click


@click.command()
def command() -> int:
    """Serve HTTP, the live sockets and the page on API_HOST and API_PORT."""
    from api import server
    from ops import process

    return process.run("api", server.run)
