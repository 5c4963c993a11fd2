"""`bahi status`: how everything stands, as tables on a terminal."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.feeds import FeedView
from api.status import ProjectorView, Status, StreamView

GOOD_STATES = ("connected",)

LAG_EVENTS_FINE = 2_000
"""Below a second of a busy feed's frames: batches come and go within that."""

UNKNOWN = "?"


def shown(status: Status) -> RenderableType:
    """Lay a status out, what is wrong first."""
    head = Text(f"{', '.join(status.broker)} at {status.at}: ")
    head.append(f"{status.ticks_per_second:,.0f} ticks/s", "bold")
    head.append(f", {status.instruments:,} instruments, {status.clients} clients, {_gaps(status)}")
    wrong = [Text(f"! {problem}", "bold red") for problem in status.problems]
    return Group(
        *(wrong or [Text("all is well", "green")]),
        head,
        _feeds(status.feeds),
        _streams(status.streams),
        _projectors(status.projectors),
    )


def _gaps(status: Status) -> str:
    if status.gaps is None:
        return "gaps unknown"
    return f"{status.gaps.recent} gaps within a day, {status.gaps.open} of them open"


def _feeds(feeds: Iterable[FeedView]) -> Table:
    table = _table("feed", "state", "ticks/s", "lag ms", "instruments", "mode", "last tick")
    for feed in feeds:
        table.add_row(
            feed.stream,
            Text(feed.state, "green" if feed.state in GOOD_STATES else "bold red"),
            f"{feed.ticks_per_second:,.1f}",
            UNKNOWN if feed.lag_ms is None else f"{feed.lag_ms:,.1f}",
            f"{feed.instruments:,}",
            feed.mode or UNKNOWN,
            _clock_time(feed.last_tick_at),
        )
    return table


def _streams(streams: Iterable[StreamView]) -> Table:
    table = _table("stream", "last n", "archived")
    for stream in streams:
        table.add_row(stream.stream, _number(stream.last), _number(stream.archived))
    return table


def _projectors(projectors: Iterable[ProjectorView] | None) -> RenderableType:
    if projectors is None:
        return Text("projectors: the database does not answer", "red")
    table = _table("projector", "stream", "n", "behind by", "run")
    for each in projectors:
        fine = each.lag_events is not None and each.lag_events <= LAG_EVENTS_FINE
        table.add_row(
            each.projector,
            each.stream,
            _number(each.n),
            Text(_number(each.lag_events), "" if fine else "bold red"),
            Text("yes", "green") if each.held else Text("no", "bold red"),
        )
    return table


def _clock_time(text: str | None) -> str:
    """Cut the time of day out of an ISO 8601 time."""
    return UNKNOWN if text is None else text.partition("T")[2][: len("HH:MM:SS")]


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="left" if name in ("state", "mode", "stream", "run", "last tick") else "right")
    return table
