"""How metrics are kept and gathered: a registry a process, published as a file, merged for whoever asks.

Processes come and go, and the API is only one of them. So each process writes its registry in Prometheus'
text format to `<data>/run/<process>.prom`, whole and atomically, every two seconds; `collect` merges the files
of the processes that are alive, tells them apart by the label `process`, and needs no process but its own.
A file that was not renewed in time belongs to a process that died, and is left out.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from runtime import log

PUBLISH_SECONDS = 2.0
# Five publications may be late before a process counts as dead: a full disk or a frozen machine looks the same.
STALE_SECONDS = 10.0
assert STALE_SECONDS > 2 * PUBLISH_SECONDS, "a living process must not be left out because of one late write"

# Creation times double the lines and tell nothing that the pid file does not.
disable_created_metrics()
REGISTRY = CollectorRegistry()
_log = log.get("metrics")


class Declared(msgspec.Struct, frozen=True):
    """A metric as the catalogue declares it: its name on the wire, its kind, labels, and the operator's reading."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


CATALOGUE: dict[str, Declared] = {}


def counter(name: str, meaning: str, *labels: str) -> Counter:
    """Declare a number that only grows; `name` ends in `_total`."""
    assert name.endswith("_total"), f"a counter is named ..._total, found {name}"
    _declare(name, "counter", meaning, labels)
    return Counter(name, meaning, labels, registry=REGISTRY)


def gauge(name: str, meaning: str, *labels: str) -> Gauge:
    """Declare a number that rises and falls."""
    _declare(name, "gauge", meaning, labels)
    return Gauge(name, meaning, labels, registry=REGISTRY)


def histogram(name: str, meaning: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    """Declare a distribution; `buckets` are upper bounds in the unit that `name` ends in."""
    _declare(name, "histogram", meaning, labels)
    return Histogram(name, meaning, labels, registry=REGISTRY, buckets=buckets)


def _declare(name: str, kind: str, meaning: str, labels: tuple[str, ...]) -> None:
    assert name not in CATALOGUE, f"{name} is declared twice"
    CATALOGUE[name] = Declared(name, kind, labels, meaning)


async def publish(process: str, data_dir: Path, ended: asyncio.Event) -> None:
    """Write this process's registry every two seconds until it has `ended`, then take the file away."""
    while not ended.is_set():
        await asyncio.to_thread(write, process, data_dir)
        with suppress(TimeoutError):
            async with asyncio.timeout(PUBLISH_SECONDS):
                await ended.wait()
    _path(process, data_dir).unlink(missing_ok=True)


def write(process: str, data_dir: Path) -> None:
    """Write this process's registry once, whole and atomically; blocks on the disk."""
    path = _path(process, data_dir)
    draft = path.with_suffix(".draft")
    try:
        draft.write_bytes(generate_latest(REGISTRY))
        draft.replace(path)
    except OSError as error:
        # Metrics are a view: a full disk must not stop what they watch.
        _log.warning("metrics.unwritten", path=str(path), error=error)


def _path(process: str, data_dir: Path) -> Path:
    return data_dir / "run" / f"{process}.prom"


def collect(data_dir: Path) -> str:
    """Merge what the living processes under `data_dir` published; give Prometheus' text format."""
    families: dict[str, Metric] = {}
    for process, text in _published(data_dir / "run"):
        for family in text_string_to_metric_families(text):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.add_sample(sample.name, {"process": process, **sample.labels}, sample.value)
    return generate_latest(_Merged(families.values())).decode()


def _published(folder: Path) -> Iterator[tuple[str, str]]:
    now = time.time()
    for path in sorted(folder.glob("*.prom")):
        try:
            if now - path.stat().st_mtime <= STALE_SECONDS:
                yield path.stem, path.read_text()
        except FileNotFoundError:
            continue  # the process ended between the listing and the reading


class _Merged(CollectorRegistry):
    """A registry of families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = sorted(families, key=lambda family: family.name)

    def collect(self) -> Iterator[Metric]:
        yield from self._families
