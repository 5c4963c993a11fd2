"""An audit for eyes: one line a stream, then what is wrong, then the verdict."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ops.verify.report import Range, Report, StreamReport

SHOWN_MAX = 20  # ranges and problems; --json has the rest
PLAIN_COLUMNS = 200
COLUMNS = ("last", "archived", "received", "stored", "parked", "waiting", "expired", "lost", "doubled", "gaps")


def console() -> Console:
    """Give a console that cuts nothing where nobody's screen sets a width."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_COLUMNS)


def show(report: Report, console: Console) -> None:
    """Print the report."""
    console.print(_table([each for each in report.streams if each.stream.startswith("ticks-")]))
    others = [each for each in report.streams if not each.stream.startswith("ticks-")]
    if others:
        console.print("other streams: " + ", ".join(f"{each.stream} 1..{each.last}" for each in others))
    if report.sent is not None:
        console.print(
            f"the sandbox sent {report.sent:,} packets: {report.unreceived:,} of them lie in declared gaps, "
            f"{report.under_way:,} were under way"
        )
    candles = report.candles
    which = f"{'all' if candles.all else 'a sample of'} {candles.instruments} instruments"
    if report.set_aside:
        console.print(f"of the parked packets {report.set_aside:,} are set aside: bahi parked list --state set_aside")
    console.print(f"candles made again: {candles.compared:,} of {which}, {candles.different} differ")
    if report.instruments.compared:
        named = report.instruments
        console.print(f"instruments of the newest dumps: {named.compared:,}, {named.different} differ")
    if report.accounts.compared:
        told = report.accounts
        console.print(f"orders and trades of the accounts: {told.compared:,}, {told.different} differ")
    if report.tombstones:
        console.print(f"{report.tombstones:,} events were given up as lost with a disk; bahi doctor says what follows")
    _ranges(console, "lost", report.lost_ranges)
    _ranges(console, "doubled", report.doubled_ranges)
    for problem in report.problems[:SHOWN_MAX]:
        where = f"{problem.stream}: " if problem.stream else ""
        console.print(f"[red]{problem.kind}[/] {where}{problem.found}", soft_wrap=True)
        console.print(f"      do {problem.remedy}", soft_wrap=True)
    if len(report.problems) > SHOWN_MAX:
        console.print(f"... and {len(report.problems) - SHOWN_MAX} more problems: --json has them all")
    console.print(_verdict(report))


def _table(streams: Sequence[StreamReport]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stream")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for each in streams:
        table.add_row(each.stream, *(f"{getattr(each, name):,}" for name in COLUMNS))
    return table


def _ranges(console: Console, name: str, ranges: Sequence[Range]) -> None:
    for each in ranges[:SHOWN_MAX]:
        where = f"{each.stream} n = {each.first}..{each.last}" if each.stream else "no stream"
        if each.messages:
            where += f", messages {each.messages[0]}..{each.messages[1]} of connection {each.connection}"
        console.print(f"[red]{name}[/] {where}: {each.packets} packets: {each.why}", soft_wrap=True)
    if len(ranges) > SHOWN_MAX:
        console.print(f"... and {len(ranges) - SHOWN_MAX} more ranges: --json has them all")


def _verdict(report: Report) -> str:
    if report.ok:
        return f"[green]every event is accounted for[/] ({report.seconds:.1f} s)"
    return (
        f"[red]the account does not add up[/]: {report.lost:,} lost, {report.doubled:,} doubled, "
        f"{len(report.problems)} problems ({report.seconds:.1f} s)"
    )
