"""`bahi key`."""

import rich_click as click


@click.command()
def command() -> int:
    """Print the administrator's key of the API: BAHI_API_KEY, else the one that was made and kept in the vault."""
    from ops import own_api
    from runtime import settings

    print(own_api.administrators_key(settings.load()))
    return 0
