"""When an account is due: a day of it, an hour at a time, by the real calendar."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from events.accounts import Trigger
from producers.accounts.schedule import Begun, Timetable
from runtime.calendar import IST
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


def test_a_year_without_a_calendar_is_pulled_as_if_it_were_open(tmp_path: Path) -> None:
    runs = day(Timetable(settings(tmp_path)), "2031-03-01 00:00", 2)
    assert len(runs) == 24
