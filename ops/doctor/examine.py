"""All checks, in the order in which trouble spreads: machine, settings, servers, log, projections, feeds, accounts."""

import asyncio
import time

from ops.doctor import access, accounts, log, machine, projections, servers
from ops.doctor.finding import Finding, State
from ops.facts.gather import Facts, gather
from runtime.clock import SystemClock
from runtime.settings import Settings

LOOK_SECONDS = 0.5  # how often a projector that is behind is looked at


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything; where a projector is behind, for up to STILL_SECONDS, to see whether it moves."""
    facts, before, seconds = await _watched(settings)
    return [
        *machine.data_directory(settings.bahi_data_dir),
        *machine.disks(settings.bahi_data_dir),
        machine.clock(facts),
        *access.brokers(settings),
        *access.tokens(settings, facts.now_ns),
        *servers.postgres(facts),
        *servers.redis(facts),
        *log.stores(facts),
        *log.takeovers(settings.bahi_data_dir / "spool"),
        log.archiving(facts, settings),
        *projections.standing(facts, before, seconds),
        *projections.went_back(facts),
        *projections.raised(facts),
        *projections.lost(facts),
        *projections.tables(facts),
        *projections.parked(facts),
        *access.watched(facts),
        *access.feeds(facts),
        *accounts.accounts(facts),
        *accounts.reconciled(facts),
        await access.ports(facts, settings),
    ]


async def _watched(settings: Settings) -> tuple[Facts, projections.Positions, float]:
    """Give the facts, and where the projectors stood how many seconds before."""
    began = time.monotonic()
    facts = await gather(settings, SystemClock())
    before = projections.positions(facts)
    while projections.behind(facts) and _stands(facts, before) and time.monotonic() - began < projections.STILL_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        facts = await gather(settings, SystemClock())
    return facts, before, time.monotonic() - began


def _stands(facts: Facts, before: projections.Positions) -> bool:
    """Say whether a projector that is behind has not moved since."""
    return any(
        each.lag_events and before.get((each.projector, stream.stream)) == each.n
        for stream in facts.streams
        for each in stream.projectors
    )


def is_well(findings: list[Finding]) -> bool:
    """Say whether nothing is wrong."""
    return not any(finding.state is State.WRONG for finding in findings)
