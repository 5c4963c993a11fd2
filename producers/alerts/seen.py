"""What the log told of accounts and feeds, and what of it is wrong now. Pure: no clock, no disk, no network.

    SyncRun, Known, Beat --fold--> Seen --troubles(moment)--> subject: what is wrong, or None where it is well

A subject of which nothing can be said now (the log cannot be read, its market is closed, another subject says the same)
is not among the answers: it stays as it was.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from events.accounts import KINDS, Known, SyncRun
from events.messages import WAITS_FOR_LOGIN, Beat, is_rest
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND
from runtime.staleness import STALE_INTERVALS

FAILURES_MANY = 3  # one is a broker's hiccup; three in a row are not over by themselves. `bahi doctor` says the same
# The broker's client connects again every 5 s, and a ticker that died is started again within a few: what is not back
# after two minutes does not come back by itself.
FEED_DOWN_SECONDS = 120
TOKEN_WANTED_SECONDS = 30  # a ticker that starts has no token for a moment, and a new one is taken within a second
LOG_AWAY_SECONDS = 120  # a Redis that restarts is back sooner
ERROR_CHARACTERS_MAX = 200  # of what a broker says; the words that tell come first
LOG, TICKER = "log", "ticker"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """From when on something is wrong, and how often it is told; all in seconds but `failures` (runs in a row)."""

    stale: float = STALE_INTERVALS * 300.0
    failures: int = FAILURES_MANY
    feed_down: float = FEED_DOWN_SECONDS
    token_wanted: float = TOKEN_WANTED_SECONDS
    log_away: float = LOG_AWAY_SECONDS
    healed: float = 60.0  # so long it must be well before that is told: a feed that comes and goes is one message
    repeat: float = 4 * 3600.0  # while it lasts, in market hours: twice or three times a day
    apart: float = 60.0  # between two letters; what comes meanwhile stands in the next one, together


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Now, as the world is (UTC epoch ns). open: in market hours. pulls: accounts are pulled again and again.

    watching_ns: since when log and clock were seen without a break, in market hours. away_ns: since when the log
    cannot be read, 0 while it can.
    """

    now_ns: int
    open: bool
    pulls: bool
    watching_ns: int
    away_ns: int = 0


class AccountSeen(msgspec.Struct):
    """An account by its runs. ran_ns: the end of the last one over all kinds. The others: since when, 0 if not."""

    broker: str
    ran_ns: int = 0
    refused_ns: int = 0
    failures: int = 0
    failing_ns: int = 0
    error: str = ""


class FeedSeen(msgspec.Struct):
    """A ticker connection. heard_ns: its last word of any kind. down: why its socket is not open, empty while it is."""

    heard_ns: int = 0
    down: str = ""
    down_ns: int = 0


class Seen(msgspec.Struct):
    """All of it, by account and by stream."""

    accounts: dict[str, AccountSeen] = {}
    feeds: dict[str, FeedSeen] = {}

    def run(self, run: SyncRun) -> None:
        """Take the end of a run."""
        account = self.accounts.setdefault(run.account, AccountSeen(run.broker))
        at_ns, whole = run.finished_ns, len(run.kinds) == len(KINDS)
        if whole:
            account.ran_ns = max(account.ran_ns, at_ns)
        if run.outcome == "refused":
            account.refused_ns = account.refused_ns or at_ns
            return
        if run.outcome != "failed":  # the broker let us in
            account.refused_ns = 0
        if run.outcome != "ok":
            account.failures += 1
            account.failing_ns = account.failing_ns or at_ns
            account.error = run.error[:ERROR_CHARACTERS_MAX]
        elif whole:  # one over some kinds tells nothing of the others
            account.failures = account.failing_ns = 0

    def known(self, known: Known, at_ns: int) -> None:
        """Take that an account is pulled from now on, or is not any more."""
        if not known.active:
            self.accounts.pop(known.account, None)
        else:
            self.accounts.setdefault(known.account, AccountSeen(known.broker, ran_ns=at_ns))

    def feed(self, stream: str, heard_ns: int, beat: Beat | None, at_ns: int) -> None:
        """Take the last word of a connection, and its last beat, if that is newer than any message of the broker."""
        feed = self.feeds.setdefault(stream, FeedSeen())
        feed.heard_ns = max(feed.heard_ns, heard_ns)
        down = beat.down if beat and isinstance(beat.down, str) else ""
        if down and not feed.down:
            feed.down_ns = (beat.gap_from_ns if beat else None) or at_ns
        feed.down = down

    def holds(self, subject: str) -> bool:
        """Say whether a subject is still one: its account is pulled, its connection is known."""
        kind, _, name = subject.partition(" ")
        return name in self.accounts if kind in ("refused", "failing", "stale") else True


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong, since when (UTC epoch ns), and what is to be done."""

    since_ns: int
    title: str
    text: str
    remedy: str


def troubles(seen: Seen, moment: Moment, terms: Terms) -> dict[str, Trouble | None]:
    """Give by subject what is wrong; None where it is well; nothing where nobody can say."""
    if moment.away_ns:
        if _seconds(moment.now_ns, moment.away_ns) < terms.log_away:
            return {}
        text = "Redis does not answer, so nobody sees what accounts and feeds do. What comes is kept on the disk."
        return {LOG: Trouble(moment.away_ns, "the log cannot be read", text, "bahi status; docs/runbooks/RedisAway.md")}
    found: dict[str, Trouble | None] = {LOG: None}
    for name, account in seen.accounts.items():
        found.update(_account(name, account, moment, terms))
    found.update(_feeds(seen.feeds, moment, terms))
    return found


def _account(name: str, account: AccountSeen, moment: Moment, terms: Terms) -> Iterator[tuple[str, Trouble | None]]:
    if account.refused_ns:
        text = f"{account.broker} refuses the token of the account {name}: nothing new of it comes."
        remedy = f"bahi login {account.broker}" + (f" {name}" if name != account.broker else "")
        yield f"refused {name}", Trouble(account.refused_ns, f"{name}: log in, its token is refused", text, remedy)
        return
    yield f"refused {name}", None
    if account.failures >= terms.failures:
        text = f"{account.failures} pulls of the account {name} in a row did not bring everything: {account.error}"
        yield (
            f"failing {name}",
            Trouble(
                account.failing_ns, f"{name}: its pulls fail", text, "bahi doctor; docs/accounts.md has each cause"
            ),
        )
        return
    if not account.failures:
        yield f"failing {name}", None
    if not account.ran_ns:
        return
    if _seconds(moment.now_ns, account.ran_ns) <= terms.stale:
        yield f"stale {name}", None
    elif moment.pulls and _seconds(moment.now_ns, moment.watching_ns) > terms.stale:
        text = f"The account {name} was not pulled for more than {terms.stale / 60:,.0f} minutes."
        yield (
            f"stale {name}",
            Trouble(account.ran_ns, f"{name}: it is not pulled", text, "bahi doctor; read what bahi sync says"),
        )


def _feeds(feeds: dict[str, FeedSeen], moment: Moment, terms: Terms) -> Iterator[tuple[str, Trouble | None]]:
    fresh = {name: feed for name, feed in feeds.items() if _seconds(moment.now_ns, feed.heard_ns) < terms.feed_down}
    if fresh:
        yield TICKER, None
    elif feeds and moment.open and _seconds(moment.now_ns, moment.watching_ns) > terms.feed_down:
        since_ns = max(feed.heard_ns for feed in feeds.values())
        text = "bahi ticks says nothing: no prices come."
        yield TICKER, Trouble(since_ns, "the ticker does not run", text, "bahi up, or bahi ticks; bahi doctor")
    for name, feed in fresh.items():
        if is_rest(feed.down):
            continue
        wants_token = feed.down in WAITS_FOR_LOGIN
        bound = terms.token_wanted if wants_token else terms.feed_down
        if not feed.down:
            yield f"feed {name}", None
        elif (
            moment.open
            and min(_seconds(moment.now_ns, feed.down_ns), _seconds(moment.now_ns, moment.watching_ns)) > bound
        ):
            text = f"The feed {name} brings no prices: {feed.down}."
            if wants_token:
                title, remedy = f"{name}: log in for prices", f"bahi login {name.split('-')[1]}"
            else:
                title, remedy = f"{name}: the feed is down", "bahi doctor; docs/runbooks/FeedSilent.md"
            yield f"feed {name}", Trouble(feed.down_ns, title, text, remedy)


def ist(at_ns: int) -> str:
    """Give a moment as an Indian reads it."""
    return f"{datetime.fromtimestamp(at_ns / NS_PER_SECOND, IST):%d %b %H:%M} IST"


def _seconds(now_ns: int, since_ns: int) -> float:
    return (now_ns - since_ns) / NS_PER_SECOND
