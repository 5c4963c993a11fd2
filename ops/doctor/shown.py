"""The findings for eyes: a line each, and what to do under those that want something."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ops.doctor.finding import Finding, State

SIGNS = {State.GOOD: ("ok", "green"), State.NOTE: ("note", "yellow"), State.WRONG: ("WRONG", "bold red")}
SIGN_WIDTH = max(len(sign) for sign, _ in SIGNS.values())


def show(findings: Sequence[Finding]) -> None:
    """Print the findings, and the verdict."""
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        sign, style = SIGNS[finding.state]
        console.print(
            Text.assemble((sign.ljust(SIGN_WIDTH), style), f"  {finding.check.ljust(width)}  {finding.found}")
        )
        if finding.remedy:
            console.print(Text(f"{' ' * (SIGN_WIDTH + width + 4)}do: {finding.remedy}", style))
    count = sum(finding.state is State.WRONG for finding in findings)
    said = "one thing is wrong" if count == 1 else f"{count} things are wrong"
    console.print(Text(said, "bold red") if count else Text("nothing is wrong", "green"))
