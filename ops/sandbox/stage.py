"""What is played to the clients: the generated market or a tape look the same to a connection."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ops.sandbox.instruments import Instrument
from ops.sandbox.wire import Bools, Bytes


class Stage(Protocol):
    """Some instruments, each with its newest packet."""

    @property
    def instruments(self) -> Sequence[Instrument]:
        """List them; a place in this list is what other parts know an instrument by."""

    @property
    def places(self) -> Mapping[int, int]:
        """Give the place of each instrument token."""

    @property
    def is_index(self) -> Bools:
        """Tell for each whether its packets are those of an index."""

    @property
    def board(self) -> Bytes:
        """Give (n, 184) bytes: the newest packet of each, zeros but for the token where there was none yet."""

    @property
    def gives_snapshots(self) -> bool:
        """Tell whether a new subscriber gets the newest packet at once; a tape plays its rows and nothing else."""
