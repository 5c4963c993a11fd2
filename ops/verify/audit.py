"""The audit: tables first, then the log up to where it ends now, stream by stream; see docs/verify.md.

    snapshot of the tables -> ends of the streams -> journal -> every event of every store, once -> report

In this order it may run while everything works: whatever the tables hold was in the log before, whatever the log holds
had been sent before. With --full and very many candles the log is read again for each million of them.
"""

import asyncio
import time
from pathlib import Path

from events.redis_log import RedisLog
from ops.verify import entries as log_entries
from ops.verify import frames as log_frames
from ops.verify import segments, sessions, tables
from ops.verify.accounts import AccountAccount
from ops.verify.beats import BeatAccount
from ops.verify.gaps import GapAccount
from ops.verify.instruments import InstrumentAccount
from ops.verify.journal import Book
from ops.verify.minutes import Minutes
from ops.verify.report import Findings, Report, StreamReport, packets
from ops.verify.rows import RowAccount
from ops.verify.sessions import SessionAccount
from ops.verify.stores import Walk
from ops.verify.tables import Tables
from ops.verify.tombstones import TombstoneAccount
from runtime.settings import Settings

SAMPLE_INSTRUMENTS = 20  # whose candles are made again, all of them: chosen anew by chance each time
TICKS = "ticks-"
SANDBOX_TICKS = "ticks-sandbox-"
_REBUILD = "rebuild ticks: their rows are of a log that is not here"


class Audit:
    """One audit of one data directory."""

    def __init__(self, settings: Settings, log: RedisLog, held: Tables) -> None:
        """Take what the tables said before anything of the log is read."""
        self._data_dir, self._archive = settings.bahi_data_dir, segments.at(settings)
        self._log, self._held = log, held
        self.findings = Findings()
        self.report = Report()
        self._book: Book | None = None
        self._sessions: list[SessionAccount] = []

    async def run(self) -> Report:
        """Read the log, once for each pass over the candles."""
        walks = [await self._begin(stream) for stream in await self._streams()]
        folder = self._data_dir / "sandbox" / "journal"
        self._book = Book(folder) if folder.is_dir() else None
        minutes = Minutes(self._held, 0)
        for walk in walks:
            await self._audit(walk, minutes)
        minutes.compare(self.report.candles, self.findings)
        self._compare_all_ticks(minutes)
        for number in range(1, len(self._held.candles.passes)):
            await self._again(walks, number)
        self._close()
        return self.report

    async def _streams(self) -> list[str]:
        """Give the streams that anything knows."""
        spools = self._data_dir / "spool"
        archived = await asyncio.to_thread(self._archive.streams)
        known = {*await self._log.streams(), *self._held.streams, *archived}
        return sorted(known | {name for name in _folders(spools) if any((spools / name).glob("*.spool"))})

    async def _begin(self, stream: str) -> Walk:
        walk = Walk(stream, self._log, self._archive, self._data_dir / "spool", self.findings)
        await walk.begin()
        return walk

    async def _audit(self, walk: Walk, minutes: Minutes) -> None:
        """Read one stream and hold it against everything."""
        stream = walk.stream
        account = StreamReport(stream, last=walk.last)
        self.report.streams.append(account)
        held = self._held.of(stream)
        rows = RowAccount(account, held, self._held.from_ns, self.findings)
        beats, gaps = BeatAccount(stream, self.findings), GapAccount(stream, held, self.findings)
        journal = None
        if self._book and stream.startswith(SANDBOX_TICKS):
            journal = SessionAccount(stream, self._book, self.findings)
            self._sessions.append(journal)
        tombstones = TombstoneAccount(stream, self.findings)
        names = InstrumentAccount(stream, held.checkpoint("instruments"), self._held.instruments, self.findings)
        books = AccountAccount(stream, held.checkpoint("accounts"), self._held.told, self.findings)
        async for batch in walk.batches():
            entries = log_entries.take_apart(batch)
            for each in (tombstones, names, books):
                each.take(entries)
            if not stream.startswith(TICKS):
                continue
            frames = [log_frames.of(entry) for entry in entries]
            rows.take(entries, frames)
            minutes.take(stream, held.checkpoint("candles"), entries, frames)
            for entry, frame in zip(entries, frames, strict=True):
                beats.take(entry, frame)
                gaps.take(entry)
            if journal:
                journal.take(entries, frames)
        for part in (rows, gaps, tombstones, names, books):
            part.close()
        if journal:
            journal.close()
        account.gaps, account.segments, account.archived = len(gaps.all), walk.archive.segments, walk.archive.last
        account.tombstones = tombstones.count
        self.report.instruments.add(names.compared, names.different)
        self.report.accounts.add(books.compared, books.different)
        # Journal and beats tell of the same loss from two sides.
        lost = max(beats.lost, journal.lost if journal else 0)
        doubled = max(beats.doubled, journal.doubled if journal else 0)
        account.lost += lost
        account.doubled += doubled
        account.received += lost - doubled

    def _compare_all_ticks(self, minutes: Minutes) -> None:
        """Hold the sum over all candles against the log, so that one which is missing shows also in a sample."""
        wanted, found = minutes.priced, self._held.candles.ticks
        if found is not None and found != wanted:
            said = f"all candles together have {found} ticks, the log gives {wanted}: one is missing or wrong"
            self.findings.problem("candle", "", said, "bahi verify --full says which; rebuild candles")

    async def _again(self, walks: list[Walk], number: int) -> None:
        """Read the log once more for the candles of another pass; what its stores are like was said before."""
        minutes = Minutes(self._held, number)
        for before in walks:
            if not before.stream.startswith(TICKS):
                continue
            walk = Walk(before.stream, self._log, self._archive, self._data_dir / "spool", Findings())
            walk.last = before.last
            async for batch in walk.batches():
                entries = log_entries.take_apart(batch)
                frames = [log_frames.of(entry) for entry in entries]
                minutes.take(walk.stream, self._held.of(walk.stream).checkpoint("candles"), entries, frames)
        minutes.compare(self.report.candles, self.findings)

    def _close(self) -> None:
        """Add everything up."""
        report, findings = self.report, self.findings
        for number, rows in self._held.strays.items():
            findings.problem("above", "", f"{rows} rows in ticks of an unknown stream number {number}", _REBUILD)
        names = (
            "received",
            "stored",
            "parked",
            "set_aside",
            "lost",
            "doubled",
            "gaps",
            "tombstones",
            "waiting",
            "expired",
        )
        for name in names:
            setattr(report, name, sum(getattr(each, name) for each in report.streams))
        if self._book:
            unknown = sessions.unknown(self._book, self._sessions, findings)
            report.lost += unknown
            report.received += unknown
            report.sent = unknown + sum(each.sent for each in self._sessions)
            report.unreceived = sum(each.unreceived for each in self._sessions)
            report.under_way = sum(each.under_way for each in self._sessions)
        findings.close()
        report.candles.all = self._held.candles.instruments is None
        report.problems = findings.problems
        report.lost_ranges, report.doubled_ranges = findings.lost, findings.doubled
        report.ok = not (report.lost or report.doubled or findings.problems or packets(findings.lost))


def _folders(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []


async def run(settings: Settings, *, full: bool) -> Report:
    """Account for every event. Raises Unreachable where a server does not answer."""
    assert settings.redis_url, "discover.servers_for has seen to it"
    assert settings.database_url, "and to this"
    began = time.monotonic()
    held = await tables.read(settings.database_url, settings.tick_retention_days, None if full else SAMPLE_INSTRUMENTS)
    log = RedisLog.connect(settings.redis_url)
    try:
        report = await Audit(settings, log, held).run()
    finally:
        await log.close()
        for file in held.candles.passes:
            file.close()
    report.seconds = round(time.monotonic() - began, 3)
    return report
