"""`bahi psql`."""

import rich_click as click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> int:
    """Open psql on the tables. What follows is psql's own: bahi psql -c "select * from candles_1m limit 5"."""
    from ops import psql
    from runtime import settings

    return psql.run(settings.load(), words)
