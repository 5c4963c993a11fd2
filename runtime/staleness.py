"""When what is known of an account is too old: by the hour, and by how often accounts are pulled."""

from datetime import datetime

from runtime import calendar
from runtime.clock import NS_PER_SECOND
from runtime.errors import SettingError
from runtime.settings import Settings

# One pull may be on its way and one may have failed; when three are due and none has come, none comes.
STALE_INTERVALS = 3
SANDBOX = "sandbox"


def pulls_at(settings: Settings, now_ns: int) -> bool:
    """Say whether accounts are pulled again and again at a moment; no where the calendar does not know the year."""
    if SANDBOX in settings.broker or not settings.market_hours_only:
        return True
    try:
        return any(calendar.is_open(exchange, now_ns) for exchange in calendar.exchanges())
    except SettingError:
        return False


def age_seconds(at: datetime, now_ns: int) -> float:
    """Give how many seconds before `now_ns` that was, 0 where it is still to come."""
    return round(max(0.0, now_ns / NS_PER_SECOND - at.timestamp()), 3)


def is_stale(settings: Settings, age: float, now_ns: int) -> bool:
    """Say whether an account should have been asked again since; age: seconds since it was."""
    return age > STALE_INTERVALS * settings.sync_interval_seconds and pulls_at(settings, now_ns)
