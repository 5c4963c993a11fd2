"""A result for eyes: a line for each case, with what it was measured against."""

from rich.console import Console
from rich.table import Table

from ops.bench.catalogue import Result
from ops.bench.measure import AT_LEAST, Case

NOTHING = "-"
THOUSANDS_FROM = 10_000


def show(result: Result, console: Console) -> None:
    """Print a result."""
    machine = result.machine
    table = Table(title=f"bahi bench {result.bench}", title_justify="left", box=None, pad_edge=False)
    table.add_column("case")
    for name in ("value", "limit", "ratio", "least .. most", "target"):
        table.add_column(name, justify="right")
    table.add_column("against")
    for case in result.cases:
        table.add_row(*_cells(case))
    console.print(table)
    console.print(
        f"{machine.cores} cores of {machine.processor}, {machine.memory_gib:g} GiB, Python {machine.python}; "
        f"{result.date}, {result.seconds:g} s, load before {machine.load:g}"
    )


def _cells(case: Case) -> list[str]:
    judged = case.ratio if case.ratio is not None else case.value
    spread = f"{number(case.least)} .. {number(case.most)}"
    if case.target is None:
        target = NOTHING
    else:
        mark = "" if case.met else "  missed"
        target = f"{'>=' if case.target_is == AT_LEAST else '<='} {number(case.target)}{mark}"
    return [
        case.case,
        f"{number(case.value)} {case.unit}",
        NOTHING if case.limit is None else number(case.limit),
        NOTHING if case.ratio is None else number(judged),
        spread,
        target,
        case.against or NOTHING,
    ]


def number(value: float) -> str:
    """Give a figure as people read it."""
    return f"{value:,.0f}" if abs(value) >= THOUSANDS_FROM else f"{value:g}"
