"""The alert rules over the real scrape of real processes: quiet while all is well, loud when one of them is gone."""

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from runtime.metrics import CATALOGUE
from tests import promql
from tests.acceptance.test_exactly_once import SETTINGS, flowing
from tests.integration.test_alerts import OF_MARKET_HOURS, OF_THE_MACHINE, RULES
from tests.patience import PATIENCE_SECONDS
from tests.promql import Scrape
from tests.stack import Stack

APART = OF_THE_MACHINE | OF_MARKET_HOURS  # they hang on this disk, and on the day and hour at which the test is run
WHEN_SOMETHING_HAPPENS = {
    "bahi_feed_held_total",
    "bahi_lost_events",
    "bahi_market_open",  # in a year that the calendar covers
    "bahi_parked_events",
    "bahi_projector_setbacks_total",
    "bahi_supervisor_restarts_total",
    "bahi_writer_standing",
    "reconciliation_divergences",  # books that agree have none
}


def scrape(stack: Stack) -> Scrape:
    """Read /metrics as Prometheus does."""
    request = urllib.request.Request(f"http://127.0.0.1:{stack.api_port}/metrics")
    request.add_header("authorization", f"Bearer {stack.environment()['BAHI_API_KEY']}")
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return Scrape(answer.read().decode(), time.time())


def firing(stack: Stack) -> set[str]:
    """Give the alerts whose conditions hold now."""
    found = scrape(stack)
    return {name for name, rule in RULES.items() if promql.fires(rule["expr"], found, found)} - APART


def missing(found: Scrape) -> set[str]:
    """Give the metrics that rules ask for and that are not there."""
    asked = {name for rule in RULES.values() for name in promql.names(rule["expr"])} & CATALOGUE.keys()
    return {name for name in asked if not promql.fires(f"{name} > -1", found, found)}


def test_alerts_fire_for_what_is_gone_and_only_then(
    data_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    """No alert while all is well; killed projectors and a Redis that is away fire theirs."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        stack.wait("nothing fires", lambda: not firing(stack))
        stack.wait("all that rules ask for is measured", lambda: missing(scrape(stack)) <= WHEN_SOMETHING_HAPPENS)
        stack.kill("project")
        stack.wait("it is seen from outside", lambda: "ProjectorStill" in firing(stack))
        stack.start("project")
        stack.wait("it is over", lambda: "ProjectorStill" not in firing(stack))
        stack.servers["redis"].stop()
        stack.wait("Redis is missed", lambda: "RedisAway" in firing(stack))
        record_property("rules", len(RULES))
