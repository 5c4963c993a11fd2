"""All projections by name. A new one is added here, and nowhere else."""

from collections.abc import Sequence

from projectors.accounts.projector import ACCOUNTS
from projectors.candles import CANDLES
from projectors.gaps import GAPS
from projectors.instruments import INSTRUMENTS
from projectors.parked import PARKED
from projectors.projector import Projection
from projectors.ticks import TICKS
from runtime.errors import BadInput

PROJECTIONS: dict[str, Projection] = {each.name: each for each in (TICKS, CANDLES, GAPS, INSTRUMENTS, PARKED, ACCOUNTS)}


def chosen(names: Sequence[str]) -> list[Projection]:
    """Give the projections of these names, all for none. Raises BadInput for a name that is not there."""
    unknown = [name for name in names if name not in PROJECTIONS]
    if unknown:
        raise BadInput(f"projectors out of {', '.join(PROJECTIONS)}", ", ".join(unknown), "correct the name")
    return [PROJECTIONS[name] for name in names or PROJECTIONS]
