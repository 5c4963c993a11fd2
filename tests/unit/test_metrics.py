"""Metrics: one catalogue, published by each process, merged for whoever asks."""

import asyncio
import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime import metrics, registry


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


def test_what_a_process_counts_is_published_under_its_name(data_dir: Path) -> None:
    metrics.FEED_FRAMES.labels("ticks-published-1").inc(3)
    registry.write("ticks", data_dir)
    text = metrics.collect(data_dir)
    assert 'bahi_feed_frames_total{process="ticks",stream="ticks-published-1"} 3.0' in text
    assert "_created" not in text


@pytest.mark.anyio
async def test_a_process_that_ended_leaves_no_metrics_behind(data_dir: Path) -> None:
    ended = asyncio.Event()
    ended.set()
    registry.write("ticks", data_dir)
    await registry.publish("ticks", data_dir, ended)
    assert metrics.collect(data_dir) == ""


def test_the_same_metric_of_several_processes_stands_once_with_all_their_samples(data_dir: Path) -> None:
    for process, value in (("project", 1), ("project-2", 2)):
        (data_dir / "run" / f"{process}.prom").write_text(
            "# HELP bahi_projector_n The number\n# TYPE bahi_projector_n gauge\n"
            f'bahi_projector_n{{projector="ticks",stream="s"}} {value}\n'
        )
    (family,) = text_string_to_metric_families(metrics.collect(data_dir))
    assert {sample.labels["process"]: sample.value for sample in family.samples} == {"project": 1.0, "project-2": 2.0}


def test_a_process_that_died_is_left_out(data_dir: Path) -> None:
    path = data_dir / "run" / "ticks.prom"
    path.write_text("# TYPE x gauge\nx 1\n")
    os.utime(path, (0, 0))
    assert metrics.collect(data_dir) == ""


def test_a_full_disk_stops_no_process(tmp_path: Path) -> None:
    registry.write("ticks", tmp_path / "no such folder")


def test_every_metric_is_named_after_its_kind_and_explained() -> None:
    for declared in metrics.CATALOGUE.values():
        named_by_others = declared.name.startswith(("trade_sync_", "trade_data_", "reconciliation_"))
        # By their names in the contract with those who watch: a gauge of a total may be among them.
        assert named_by_others or declared.name.startswith("bahi_")
        assert named_by_others or declared.name.endswith("_total") == (declared.kind == "counter"), declared.name
        assert declared.kind != "histogram" or declared.name.endswith(("_seconds", "_bytes")), declared.name
        assert len(declared.meaning) > len(declared.name) / 2, f"wanted an operator's reading of {declared.name}"
