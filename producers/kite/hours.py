"""When Kite's day turns: its access tokens end and its dump is remade at hours of their own."""

from datetime import date, datetime, time, timedelta

from runtime.calendar import IST

DUMP_TIME = time(8, 35)  # Kite remakes its dump daily at about 08:30 IST (Kite Connect v3, "Instruments")
TOKEN_END = time(6, 0)  # an access token ends at about 06:00 IST (Kite Connect v3, "User")


def business_day(now: datetime, turns: time) -> date:
    """Give the IST day of `now`, where a day begins at `turns`."""
    local = now.astimezone(IST)
    return local.date() - timedelta(days=local.time() < turns)
