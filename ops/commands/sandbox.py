"""`bahi sandbox`."""

from pathlib import Path

import rich_click as click


@click.command()
@click.option("--tape", type=click.Path(path_type=Path), help="Play this folder of SYMBOL.csv[.gz], or this segment.")
@click.option("--speed", default="1", show_default=True, help="How fast a tape is played: a factor, or max.")
def command(tape: Path | None, speed: str) -> int:
    """Be the exchange: speak Kite Connect on BAHI_SANDBOX_PORT, with a made-up market or a tape."""
    from ops import process
    from ops.sandbox import server

    return process.run("sandbox", lambda settings, stop: server.run(settings, stop, tape=tape, speed=speed), ())
