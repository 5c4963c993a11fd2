"""`bahi replay`."""

import rich_click as click


@click.command()
@click.argument("target", metavar="TARGET")
@click.option("--from", "start", metavar="WHEN", help="Begin with this time, day or n; else with the first event.")
@click.option(
    "--to", "end", metavar="WHEN", help="End before this time, or with this day or n; else with the last event."
)
@click.option("--stream", "streams", multiple=True, metavar="NAME", help="Replay this stream; may be given repeatedly.")
@click.option("--speed", help="How fast: a factor, or max. 1 by default; max for a projection.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port; 8010, or BAHI_SANDBOX_PORT.")
@click.option("--schema", metavar="NAME", help="Fill tables in this schema: replay_...")
@click.option(
    "--clients", type=click.IntRange(1), default=1, show_default=True, help="Begin when so many listen (live)."
)
def command(  # one parameter an option
    target: str,
    start: str | None,
    end: str | None,
    streams: tuple[str, ...],
    speed: str | None,
    port: int | None,
    schema: str | None,
    clients: int,
) -> int:
    """Play a span of the log again.

    TARGET is live (a websocket that speaks as that of the API), sandbox (an exchange that a client of Kite connects
    to), or a projection (ticks, candles, gaps, instruments), which fills tables of its own. WHEN is 2026-11-20T09:15
    (India's time, or with an offset), 2026-11-20, or the n of an event.
    """
    import msgspec

    from ops.bar import Bar
    from ops.embedded.discover import servers_for
    from ops.replay import bounds, run
    from ops.sandbox.playback import read_speed
    from runtime import lifecycle, log, settings
    from runtime.lifecycle import Stop

    run.check_target(target, schema)
    pace = read_speed(speed or run.usual_speed(target))
    wish = run.Wish(target, streams, bounds.read(start, end), pace, clients, port, schema)
    loaded = settings.load()
    log.configure("replay", msgspec.structs.replace(loaded, log_level="warning"))  # the bar tells the rest
    bar = Bar("replay")
    with servers_for(loaded, "replay") as ready:

        async def work(stop: Stop) -> None:
            played = await run.run(ready, stop, wish, bar)
            bar.close()
            bar.say(f"{'stopped' if stop.is_set() else 'ended'} after {played:,} events")

        try:
            return lifecycle.run("replay", work)
        finally:
            bar.close()
