"""`bahi alerts`."""

import rich_click as click


@click.group()
def command() -> None:
    """Look after the messages that Bahi sends to ALERT_URLS."""


@command.command()
def test() -> int:
    """Send a test message to each address of ALERT_URLS, and say what came of it. Exit 1 if one was not taken."""
    import asyncio

    from ops import alerts
    from runtime import settings

    return asyncio.run(alerts.test(settings.load()))
