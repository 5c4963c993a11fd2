"""`bahi rebuild`."""

import rich_click as click


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Rebuild every projection.")
@click.option("--dry-run", is_flag=True, help="Build and compare, show what differs, and throw the new tables away.")
@click.option("--yes", is_flag=True, help="Put the new tables in place also where they differ.")
@click.option("--restart", is_flag=True, help="Throw away what an unfinished rebuild has built, and begin again.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as one JSON object.")
def command(names: tuple[str, ...], everything: bool, dry_run: bool, yes: bool, restart: bool, as_json: bool) -> int:
    """Make tables again from the log, beside the live ones, and put them in their place.

    NAME is ticks, candles, gaps, instruments or parked. Whatever runs goes on meanwhile. A rebuild that was interrupted
    goes on where it was when it is started again.
    """
    import sys

    import msgspec
    from rich.console import Console

    from ops.embedded.discover import servers_for
    from ops.rebuild import run, shown
    from projectors.catalogue import chosen
    from projectors.projector import Projection
    from projectors.rebuild import Outcome, Stopped
    from runtime import lifecycle, log, settings
    from runtime.errors import BadInput
    from runtime.lifecycle import Stop

    if bool(names) == everything:
        raise BadInput("names of projections, or --all", "both" if names else "neither", "bahi rebuild --help")
    wish = run.Wish(chosen(names), swap=not dry_run, restart=restart)
    loaded = settings.load()
    log.configure("rebuild", msgspec.structs.replace(loaded, log_level="warning"))  # the bar tells the rest
    outcomes: list[Outcome] = []
    screens: list[shown.Screen] = []

    def watch(projection: Projection) -> shown.Screen:
        screens.append(shown.Screen(projection.name, yes=yes, asks=sys.stdin.isatty() and not as_json))
        return screens[-1]

    def done(outcome: Outcome) -> None:
        screens[-1].close()
        outcomes.append(outcome)
        if not as_json:
            shown.show(outcome, Console(highlight=False))

    stopped = False
    with servers_for(loaded, "rebuild") as ready:

        async def work(stop: Stop) -> None:
            nonlocal stopped
            try:
                await run.run(ready, stop, wish, watch, done)
            except Stopped:
                stopped = True
                print("stopped; the same command goes on where it was", file=sys.stderr)

        code = lifecycle.run("rebuild", work)
    for screen in screens:
        screen.close()
    if as_json:
        print(msgspec.json.format(msgspec.json.encode({"rebuilds": outcomes}), indent=2).decode())
    refused = [each for each in outcomes if each.comparison and each.comparison.different and not each.swapped]
    return code or (lifecycle.EXIT_INTERRUPTED if stopped else lifecycle.EXIT_FAILED if refused else lifecycle.EXIT_OK)
