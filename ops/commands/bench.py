"""`bahi bench`."""

import rich_click as click

PLAIN_COLUMNS = 200
"""Where no terminal sets a width, nothing is cut."""


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("--quick", is_flag=True, help="One short round: it shows that the benchmark works, and no more.")
def command(name: str, as_json: bool, quick: bool) -> int:
    """Measure how fast a stage is: parse, append, load, candles, fanout, http, archive, rebuild, sync or e2e.

    Each figure stands beside the limit that was measured in turns with it; what counts is the ratio. Servers and files
    of its own are used, and gone after. Progress goes to standard error.
    """
    import sys

    import msgspec
    from rich.console import Console

    from ops.bench import catalogue, shown
    from ops.bench.measure import Trial
    from runtime import log, settings
    from runtime.errors import BadInput

    if name not in catalogue.NAMES:
        raise BadInput(f"one of {', '.join(catalogue.NAMES)}", repr(name), "give one of these names")
    # What is measured runs in this process, too: only errors are worth a line.
    log.configure("bench", msgspec.structs.replace(settings.load(), log_level="error"))
    trial = Trial(lambda text: print(f"{name}: {text}", file=sys.stderr, flush=True), quick=quick)
    result = catalogue.run(name, trial)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    else:
        console = Console(highlight=False)
        shown.show(result, console if console.is_terminal else Console(highlight=False, width=PLAIN_COLUMNS))
    return 0
