"""When an account is due: a day of it, an hour at a time, by the real calendar."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from events.accounts import KINDS, Trigger
from producers.accounts import account as accounts
from producers.accounts.kept import Waiting
from producers.accounts.pull import Asked
from producers.accounts.schedule import Begun, Timetable
from producers.accounts.standing import Standing
from producers.kite.address import Address
from runtime.calendar import IST
from runtime.clock import ManualClock
from runtime.settings import Settings, load

KITE = {"BROKER": "kite", "KITE_API_KEY": "key", "SYNC_INTERVAL_SECONDS": "300"}
MONDAY, FRIDAY, SATURDAY, SUNDAY = "2026-07-13", "2026-07-17", "2026-07-18", "2026-07-19"


def settings(tmp_path: Path, **more: str) -> Settings:
    return load({"BAHI_DATA_DIR": str(tmp_path), **KITE, **more})


def ns(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp()) * 10**9


def day(timetable: Timetable, begin: str, hours: int, minutes: int = 5) -> list[tuple[str, Trigger]]:
    """Look every few minutes for so many hours, and run whatever is due; give the runs' times and reasons."""
    last, found = Begun(ns(begin), timetable.moment(ns(begin)).open), []
    at = datetime.fromisoformat(begin)
    for _ in range(hours * 60 // minutes):
        at += timedelta(minutes=minutes)
        moment = timetable.moment(ns(at.isoformat()))
        why = timetable.due(last, moment)
        if why:
            found.append((f"{at:%a %H:%M}", why))
            last = Begun(moment.at_ns, moment.open)
    return found


def test_one_that_had_no_run_is_due_at_once_whatever_the_hour(tmp_path: Path) -> None:
    timetable = Timetable(settings(tmp_path))
    assert timetable.due(None, timetable.moment(ns(f"{SUNDAY} 03:00"))) == "start"


def test_a_trading_day_is_pulled_every_interval_once_after_the_close_and_once_before_the_new_day(
    tmp_path: Path,
) -> None:
    runs = day(Timetable(settings(tmp_path)), f"{MONDAY} 06:00", 24)
    times = [at for at, why in runs if why == "schedule"]
    assert times[0] == "Mon 08:40", "20 minutes before commodities and currencies open"
    assert times[-1] >= "Mon 23:50", "commodities trade until shortly before midnight"
    assert len(times) > 180
    assert [each for each in runs if each[1] == "close"] == [("Tue 00:00", "close"), ("Tue 04:30", "close")]


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (None, f"{SUNDAY} 03:00", f"{SUNDAY} 03:00"),
        (f"{MONDAY} 10:00", f"{MONDAY} 10:01", f"{MONDAY} 10:05"),
        (f"{MONDAY} 10:00", f"{MONDAY} 11:00", f"{MONDAY} 11:00"),
        (f"{SATURDAY} 00:00", f"{SATURDAY} 01:00", f"{SATURDAY} 04:30"),
        (f"{SATURDAY} 04:30", f"{SATURDAY} 05:00", "2026-07-20 08:40"),
    ],
)
def test_the_next_pull_is_the_one_that_comes(tmp_path: Path, last: str | None, now: str, due: str) -> None:
    timetable = Timetable(settings(tmp_path))
    begun = Begun(ns(last), timetable.moment(ns(last)).open) if last else None
    assert timetable.next_ns(begun, timetable.moment(ns(now))) == ns(due)


def test_a_weekend_is_left_alone_after_fridays_night(tmp_path: Path) -> None:
    runs = day(Timetable(settings(tmp_path)), f"{FRIDAY} 23:30", 56)
    assert [at for at, why in runs if why == "close"] == ["Sat 00:00", "Sat 04:30"]
    assert not [at for at, why in runs if at.startswith("Sun") or why not in ("close", "schedule")]


def test_less_than_the_interval_is_not_due(tmp_path: Path) -> None:
    timetable = Timetable(settings(tmp_path))
    last = Begun(ns(f"{MONDAY} 11:00"), open=True)
    assert timetable.due(last, timetable.moment(ns(f"{MONDAY} 11:04:59"))) is None
    assert timetable.due(last, timetable.moment(ns(f"{MONDAY} 11:05"))) == "schedule"


@pytest.mark.parametrize("more", [{"MARKET_HOURS_ONLY": "false"}, {"BROKER": "sandbox"}])
def test_without_market_hours_every_interval_is_due(tmp_path: Path, more: dict[str, str]) -> None:
    runs = day(Timetable(settings(tmp_path, **more)), f"{SUNDAY} 00:00", 24)
    assert len(runs) == 24 * 12
    assert {why for _, why in runs} == {"schedule"}


@pytest.mark.parametrize(
    ("at", "over", "of"),
    [
        (f"{MONDAY} 08:00", True, MONDAY),
        (f"{MONDAY} 15:45", False, MONDAY),
        (f"{MONDAY} 23:55", False, MONDAY),
        ("2026-07-14 00:30", True, MONDAY),
        ("2026-07-14 04:59", True, MONDAY),
        ("2026-07-14 05:00", True, "2026-07-14"),
    ],
)
def test_a_days_trading_is_over_once_all_markets_are_closed(tmp_path: Path, at: str, over: bool, of: str) -> None:
    moment = Timetable(settings(tmp_path)).moment(ns(at))
    assert (moment.over, moment.day.isoformat()) == (over, of)


@pytest.mark.parametrize(
    ("clock", "over"), [("23:49:59", False), ("23:50", True), ("23:59:59", True), ("00:00", False)]
)
def test_where_no_market_closes_a_day_is_over_shortly_before_midnight(tmp_path: Path, clock: str, over: bool) -> None:
    timetable = Timetable(settings(tmp_path, BROKER="sandbox"))
    assert timetable.moment(ns(f"{MONDAY} {clock}")).over is over
    assert Timetable(settings(tmp_path)).moment(ns(f"2031-03-03 {clock}")).over is over


class Account:
    """An account's standing by a clock that is set by hand, whose runs are over as soon as they begin."""

    def __init__(self, settings: Settings) -> None:
        self._timetable = Timetable(settings)
        where, of = Address("kite", "", "", "key"), accounts.Account(account="main", broker="kite")
        self.standing = Standing(of, settings, where, ManualClock(ns(f"{MONDAY} 12:00")), None)

    def look(self, at: str, *requests: Waiting) -> Asked | None:
        self.standing.ask(list(requests))
        moment = self._timetable.moment(ns(at))
        asked = self.standing.due(self._timetable, moment)
        if asked:
            self.standing.begin(asked, Begun(moment.at_ns, moment.open))
        return asked


def test_charges_are_asked_for_after_the_close_until_they_came(tmp_path: Path) -> None:
    account, monday = Account(settings(tmp_path)), date.fromisoformat(MONDAY)
    for at, trigger, of in (
        (f"{MONDAY} 23:30", "start", None),
        (f"{MONDAY} 23:40", "schedule", None),
        ("2026-07-14 00:30", "close", monday),
        ("2026-07-14 04:31", "close", monday),
    ):
        asked = account.look(at)
        assert asked
        assert (asked.trigger, asked.charges) == (trigger, of), at
    account.standing.charged(monday)
    asked = Account(settings(tmp_path)).look("2026-07-14 04:31")
    assert asked
    assert asked.charges == monday, "a start knows nothing of it"
    told = account.look("2026-07-14 09:00")
    assert told
    assert told.charges is None


def test_charges_that_came_are_not_asked_for_again_before_the_new_day(tmp_path: Path) -> None:
    account = Account(settings(tmp_path))
    account.look(f"{MONDAY} 23:30")
    account.look("2026-07-14 00:30")
    account.standing.charged(date.fromisoformat(MONDAY))
    asked = account.look("2026-07-14 04:31")
    assert asked
    assert (asked.trigger, asked.charges) == ("close", None)


def test_who_asks_for_everything_asks_for_charges_as_well(tmp_path: Path) -> None:
    account = Account(settings(tmp_path))
    account.look(f"{MONDAY} 12:00")
    some = account.look(f"{MONDAY} 12:01", Waiting("requests", 1, ["main"], ["orders"]))
    assert some
    assert (some.kinds, some.charges) == (("orders",), None)
    both = account.look(f"{MONDAY} 12:02", Waiting("requests", 1, ["main"], ["orders"]), Waiting("r", 2, ["main"], []))
    assert both
    assert (both.kinds, both.charges) == (KINDS, date.fromisoformat(MONDAY))
    late = account.look(f"{MONDAY} 12:10", Waiting("requests", 3, ["main"], ["orders"]))
    assert late
    assert (late.kinds, late.charges) == (KINDS, None), "a run that was due as well, in market hours"


def test_a_year_without_a_calendar_is_pulled_as_if_it_were_open(tmp_path: Path) -> None:
    runs = day(Timetable(settings(tmp_path)), "2031-03-01 00:00", 2)
    assert len(runs) == 24
