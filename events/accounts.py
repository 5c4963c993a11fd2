"""What the stream `accounts` holds: the users' own accounts, as their brokers told of them, in one order.

The REST worker writes all of it. What users decided (strategies, rules, tariffs, ...) comes to the API, stands in
`requests`, and is put into `accounts` by the same worker (`Forwarded`), so that whoever derives tables from both reads
one stream, and the tables are the same after every replay.

All times are UTC epoch nanoseconds; a day is an IST date. No event holds a secret: credentials lie in the vault.
"""

import re
from typing import Literal, get_args

import msgspec

from events.messages import Message

STREAM = "accounts"
Kind = Literal["orders", "trades", "positions", "holdings", "margins"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Trigger = Literal["schedule", "start", "close", "request", "update"]
Outcome = Literal["ok", "partial", "failed", "refused"]
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")  # of an account: one word of a secret's name, and of a URL
NAME_WANTED = "a name of up to 64 letters, digits and _.-, the first one a letter, digit or _"
BODY_BYTES_MAX = 512 * 1024  # compressed, in one event: base64 makes it a third longer; a larger one goes in parts


class Known(Message, frozen=True, tag="account.known.v1"):
    """An account that is pulled from now on, or is not any more.

    account: the name that the user gave it, unique over all brokers. user: the broker's own id of the customer.
    """

    account: str
    broker: str
    user: str = ""
    name: str = ""
    active: bool = True


class SnapshotPart(Message, frozen=True, tag="account.part.v1"):
    """One numbered part (from 1) of a compressed body that is too large for one event; its Snapshot comes last."""

    account: str
    kind: Kind
    sha256: str
    part: int
    body: bytes


class Snapshot(Message, frozen=True, tag="account.snapshot.v1"):
    """One kind of an account as the broker gave it: the whole answer's body, zstd-compressed.

    asked_ns, answered_ns: when the request left, and when its answer was whole. sha256: of the body before compression.
    body: absent where it is the same as that of the last Snapshot of this account and kind that had one; empty where
    it stands in `parts` events before this one.
    """

    account: str
    broker: str
    kind: Kind
    run: str
    asked_ns: int
    answered_ns: int
    sha256: str
    body: bytes | None = None
    parts: int = 0


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one kind in a run: rows in the answer, or what went wrong (the error's class, and its words)."""

    ok: bool
    rows: int = 0
    tries: int = 1
    unchanged: bool = False
    error_type: str = ""
    error: str = ""


class SyncRun(Message, frozen=True, tag="account.sync.v1"):
    """The end of one run over one account. asked: the requests (stream, n) that it answers.

    charges: what came of what the broker says of charges; absent where nothing was asked of it. The outcome does not
    speak of it.
    """

    account: str
    broker: str
    run: str
    trigger: Trigger
    started_ns: int
    finished_ns: int
    outcome: Outcome
    kinds: dict[str, Pulled]
    error: str = ""
    asked: list[tuple[str, int]] = []
    charges: Pulled | msgspec.UnsetType = msgspec.UNSET


class ChargesTold(Message, frozen=True, tag="account.charges.v1"):
    """What the broker says that some executed orders of the day cost, and which ones it was asked about.

    The answer names no order: its rows are in the order of what was asked. asked, body: the bodies of the request and
    of its answer as they were, zstd-compressed. asked_ns, answered_ns: when they left and were whole.
    """

    account: str
    broker: str
    run: str
    asked_ns: int
    answered_ns: int
    asked: bytes
    body: bytes


class Forwarded(Message, frozen=True, tag="account.forwarded.v1"):
    """A user's decision that counts from here on: event `n` of `stream`, as it stands there.

    A worker that was killed may forward one twice: whoever reads drops what is not above the highest n of its stream.
    """

    stream: str
    n: int
    at_ns: int
    kind: str
    payload: msgspec.Raw


# ---- what users ask, in `requests` ----------------------------------------------------------------------------------


class PullAccounts(Message, frozen=True, tag="request.pull.v1"):
    """A user asks for a pull of accounts (all for none) and kinds (all for none)."""

    accounts: list[str] = []
    kinds: list[Kind] = []
    key: str = ""


class OrderUpdated(Message, frozen=True, tag="request.updated.v1"):
    """The broker said that an order changed, by ticker or postback: a reason to pull, never a source of rows.

    user: the broker's id of the customer. body: the message as it came.
    """

    broker: str
    user: str
    order_id: str
    by: Literal["ticker", "postback"]
    body: bytes
    key: str = ""


class AccountSet(Message, frozen=True, tag="request.account.v1"):
    """A user adds an account, changes it, or (active false) has it pulled no more. Its secrets lie in the vault."""

    account: str
    broker: str
    user: str = ""
    name: str = ""
    active: bool = True
    key: str = ""


class StrategySet(Message, frozen=True, tag="strategy.set.v1"):
    """A user adds or changes a strategy. strategy: letters, digits, `_`, `-` and `.`, as it stands in tags."""

    strategy: str
    name: str = ""
    description: str = ""
    active: bool = True
    key: str = ""


RuleKind = Literal["tag", "symbol", "order", "trade"]


class RuleSet(Message, frozen=True, tag="rule.set.v1"):
    """A user says what belongs to a strategy; a rule of the same name is replaced.

    kind and pattern: a tag, a symbol pattern (`NFO:NIFTY*`), or by hand one order or trade (`DAY EXCHANGE ORDER_ID` or
    `DAY EXCHANGE ORDER_ID TRADE_ID`, the day in IST). account: empty for all. valid_from, valid_to: IST days of the
    orders that it holds for, both included; null for no end. draft: shown beside what counts, not applied.
    """

    rule: str
    strategy: str
    kind: RuleKind
    pattern: str
    account: str = ""
    priority: int = 0
    valid_from: str | None = None
    valid_to: str | None = None
    draft: bool = False
    key: str = ""


class RuleRemoved(Message, frozen=True, tag="rule.removed.v1"):
    """A user takes a rule back, for the past as well, or (draft) only what was drafted under its name."""

    rule: str
    draft: bool = False
    key: str = ""


class ActionSet(Message, frozen=True, tag="action.set.v1"):
    """A corporate action: `ratio_new` shares for each `ratio_old` from the morning of `day` on (IST date).

    A split of 1 into 5 is 1 and 5; a bonus of 1 for 2 is 2 and 3. removed: it was wrong, and never was.
    """

    action: str
    kind: Literal["split", "bonus"]
    exchange: str
    tradingsymbol: str
    day: str
    ratio_old: int
    ratio_new: int
    removed: bool = False
    key: str = ""


class TariffSet(Message, frozen=True, tag="tariff.set.v1"):
    """A table of charges (TOML) that counts for a broker's accounts, for the past as well. sha256: of the text.

    shipped: it is the one that comes with Bahi, and gives way to a user's. An empty text takes the user's back.
    """

    broker: str
    text: str
    sha256: str
    shipped: bool = False
    key: str = ""


class FillSet(Message, frozen=True, tag="fill.set.v1"):
    """A fill that a user tells because no answer of the broker will: an expiry, a conversion, a transfer, a lost day.

    fill: its name within the account; one of the same name is told anew. quantity (above 0), price (for one unit, 0 for
    what came or went for nothing): decimal numbers as text. time_ns: when it was. order_id: of the order that it is a
    fill of, strategy: whose it is; empty for none. removed: it never was.
    """

    fill: str
    account: str
    exchange: str
    tradingsymbol: str
    product: str
    side: Literal["BUY", "SELL"]
    quantity: str
    price: str
    time_ns: int
    order_id: str = ""
    strategy: str = ""
    reason: str = ""
    removed: bool = False
    key: str = ""


FORWARDED = (StrategySet, RuleSet, RuleRemoved, ActionSet, TariffSet, FillSet)
