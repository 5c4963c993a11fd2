"""Gauges whose labels come and go: what is not there any more is not shown as it was before."""

from collections.abc import Mapping

from prometheus_client import Gauge

Labels = tuple[str, ...]  # their values


class Gauges:
    """Shows values, and remembers which."""

    def __init__(self) -> None:
        """Begin with nothing shown."""
        self._shown: dict[Gauge, set[Labels]] = {}

    def show(self, gauge: Gauge, values: Mapping[Labels, float]) -> None:
        """Show these values and no others; one that stays is never away in between."""
        for labels in self._shown.get(gauge, set()) - values.keys():
            gauge.remove(*labels)
        for labels, value in values.items():
            gauge.labels(*labels).set(value)
        self._shown[gauge] = set(values)
