"""Sessions, limits of requests, subscriptions and mischief: the sandbox's small parts by themselves."""

import datetime
import hashlib
from pathlib import Path

import numpy as np
import pytest

from ops.sandbox import wire
from ops.sandbox.envelope import Refusal
from ops.sandbox.limits import Limits
from ops.sandbox.market import Market
from ops.sandbox.mischief import Mischief
from ops.sandbox.session import API_SECRET, REQUEST_TOKEN_NS, Sessions, next_expiry
from ops.sandbox.subscriptions import INSTRUMENTS_MAX, Subscriptions
from ops.sandbox.wire import Oddity
from runtime.calendar import IST

NOW_NS = 1_795_000_000 * 10**9


def checksum(api_key: str, request_token: str, api_secret: str = API_SECRET) -> str:
    return hashlib.sha256((api_key + request_token + api_secret).encode()).hexdigest()


def opened(sessions: Sessions, api_key: str = "sandbox") -> str:
    token = sessions.request(api_key, NOW_NS)
    return sessions.exchange(api_key, token, checksum(api_key, token), NOW_NS).access_token


def test_a_request_token_opens_one_session_and_a_restart_keeps_it(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / "sessions.json")
    token = sessions.request("sandbox", NOW_NS)
    session = sessions.exchange("sandbox", token, checksum("sandbox", token), NOW_NS)
    with pytest.raises(Refusal, match="invalid or has expired"):
        sessions.exchange("sandbox", token, checksum("sandbox", token), NOW_NS)
    again = Sessions(tmp_path / "sessions.json")
    assert again.find("sandbox", session.access_token, NOW_NS) == session
    assert again.find("other", session.access_token, NOW_NS) is None
    assert again.find("sandbox", session.access_token, session.expires_ns) is None
    assert (tmp_path / "sessions.json").stat().st_mode & 0o777 == 0o600


def test_wrong_old_and_foreign_request_tokens_are_refused(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / "sessions.json")
    token = sessions.request("sandbox", NOW_NS)
    with pytest.raises(Refusal, match="checksum"):
        sessions.exchange("sandbox", token, checksum("sandbox", token, "wrong"), NOW_NS)
    with pytest.raises(Refusal, match="invalid or has expired"):
        sessions.exchange("sandbox", token, checksum("sandbox", token), NOW_NS + REQUEST_TOKEN_NS)
    foreign = sessions.request("other", NOW_NS)
    with pytest.raises(Refusal, match="invalid or has expired"):
        sessions.exchange("sandbox", foreign, checksum("sandbox", foreign), NOW_NS)
    with pytest.raises(Refusal, match="request_token"):
        sessions.exchange("sandbox", "", "", NOW_NS)


def test_a_session_ends_by_logout_and_all_by_the_fault(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / "sessions.json")
    tokens = [opened(sessions) for _ in range(3)]
    sessions.close(tokens[0])
    assert [sessions.find("sandbox", token, NOW_NS) is not None for token in tokens] == [False, True, True]
    assert sessions.expire() == 2
    assert not any(sessions.find("sandbox", token, NOW_NS) for token in tokens)


@pytest.mark.parametrize(
    ("login", "end"), [("19 05:59", "19 06:00"), ("19 06:00", "20 06:00"), ("19 23:00", "20 06:00")]
)
def test_a_session_ends_at_six_in_the_morning(login: str, end: str) -> None:
    login_ns, end_ns = (
        int(datetime.datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=IST).timestamp()) * 10**9
        for text in (login, end)
    )
    assert next_expiry(login_ns) == end_ns


def test_requests_over_the_limit_are_refused_until_a_second_has_passed() -> None:
    limits = Limits(enforced=True)
    for moment in (0.0, 0.1, 0.2):
        limits.take("key", "historical", moment)
    with pytest.raises(Refusal) as caught:
        limits.take("key", "historical", 0.3)
    assert (caught.value.status, caught.value.error_type) == (429, "NetworkException")
    limits.take("other", "historical", 0.3)
    limits.take("key", "historical", 1.0)
    with pytest.raises(Refusal):
        limits.take("key", "historical", 1.05)
    for _ in range(100):
        Limits(enforced=False).take("key", "quote", 0.0)


@pytest.fixture(scope="module")
def market() -> Market:
    """Give a market larger than one connection may subscribe."""
    return Market(1, NOW_NS, INSTRUMENTS_MAX + 10)


def lengths(subscriptions: Subscriptions, market: Market) -> dict[int, int]:
    wanted = subscriptions.lengths(np.arange(len(market.instruments))).tolist()
    return {i.instrument_token: length for i, length in zip(market.instruments, wanted, strict=True) if length}


def test_modes_decide_how_much_of_an_instrument_is_sent(market: Market) -> None:
    subscriptions = Subscriptions(market)
    assert subscriptions.hear('{"a": "subscribe", "v": [408065, 256265, 99]}').new == [
        market.places[408065],
        market.places[256265],
    ]
    assert lengths(subscriptions, market) == {408065: 44, 256265: 28}
    subscriptions.hear(b'{"a": "mode", "v": ["full", [408065, 256265, 738561]]}')
    assert lengths(subscriptions, market) == {408065: 184, 256265: 32}
    assert subscriptions.settled == {408065, 256265}
    # As with the real one: subscribing again makes it quote.
    assert subscriptions.hear('{"a": "subscribe", "v": [408065]}').new == []
    assert lengths(subscriptions, market) == {408065: 44, 256265: 32}
    subscriptions.hear('{"a": "mode", "v": ["ltp", [408065]]}')
    subscriptions.hear('{"a": "unsubscribe", "v": [256265, 738561]}')
    assert lengths(subscriptions, market) == {408065: 8}


def test_more_than_kites_limit_of_instruments_is_complained_of(market: Market) -> None:
    subscriptions = Subscriptions(market)
    tokens = [i.instrument_token for i in market.instruments]
    heard = subscriptions.hear(f'{{"a": "subscribe", "v": {tokens}}}')
    assert len(heard.new) == INSTRUMENTS_MAX
    assert heard.complaint is not None
    assert "3000" in heard.complaint


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", '{"a": "subscribe"}', '{"a": "subscribe", "v": 5}', '{"a": "subscribe", "v": ["x"]}',
     '{"a": "mode", "v": []}', '{"a": "mode", "v": ["loud", [1]]}', '{"a": "sing", "v": []}', b"\xff\xfe"],
)  # fmt: skip
def test_a_malformed_message_is_complained_of_and_changes_nothing(market: Market, text: str | bytes) -> None:
    subscriptions = Subscriptions(market)
    subscriptions.hear('{"a": "subscribe", "v": [408065]}')
    complaint = subscriptions.hear(text).complaint
    assert complaint is not None
    assert complaint.startswith("Invalid message")
    assert lengths(subscriptions, market) == {408065: 44}


def test_subscriptions_follow_to_another_days_list(market: Market) -> None:
    subscriptions = Subscriptions(market)
    subscriptions.hear('{"a": "subscribe", "v": [408065]}')
    smaller = Market(1, NOW_NS, 5)
    subscriptions.follow(smaller)
    assert lengths(subscriptions, smaller) == {}
    subscriptions.follow(market)
    assert lengths(subscriptions, market) == {408065: 44}


PLAIN = [wire.join([bytes([n, 0, 0, 1]) + b"\0\0\0\5", bytes([n, 0, 1, 1]) + b"\0\0\0\6"]) for n in range(4)]


def spoiled(mischief: Mischief, count: int = 4) -> tuple[list[bytes], list[int], list[int]]:
    messages = mischief.spoil(wire.frame(PLAIN[:count], [2] * count, [0] * count))
    return messages.payloads(), messages.packets, messages.oddities


def test_without_mischief_messages_stay_as_they_are() -> None:
    assert spoiled(Mischief()) == (PLAIN, [2] * 4, [0] * 4)


def test_messages_are_repeated() -> None:
    mischief = Mischief()
    mischief.counts["repeat"] = 2
    first, second, third, last = PLAIN
    assert spoiled(mischief)[0] == [first, first, second, second, third, last]
    assert spoiled(mischief)[2] == [0] * 4


def test_packets_and_messages_are_reordered_also_over_batches() -> None:
    mischief = Mischief()
    mischief.counts["reorder_packets"] = 1
    payloads, _, oddities = spoiled(mischief, 1)
    assert wire.split(payloads[0]) == wire.split(PLAIN[0])[::-1]
    assert oddities == [Oddity.REORDERED]
    mischief.counts["reorder_frames"] = 2
    first, second, third, last = PLAIN
    assert spoiled(mischief)[0] == [second, first, last, third]
    mischief.counts["reorder_frames"] = 1
    assert spoiled(mischief, 1)[0] == []
    assert spoiled(mischief, 2)[0] == [first, first, second]
    mischief.counts["reorder_frames"] = 1
    spoiled(mischief, 1)
    held = mischief.release()
    assert held is not None
    assert held.payloads() == [first]
    assert mischief.release() is None


def test_a_cut_message_lacks_its_end_and_an_unknown_packet_is_added() -> None:
    mischief = Mischief()
    mischief.counts.update(cut=1, unknown=2)
    payloads, packets, oddities = spoiled(mischief)
    assert packets == [2, 3, 2, 2]
    assert oddities == [Oddity.CUT | Oddity.UNKNOWN_LENGTH, Oddity.UNKNOWN_LENGTH, 0, 0]
    assert int.from_bytes(payloads[0][:2], "big") == 3
    assert [len(packet) for packet in wire.split(payloads[1])] == [8, 8, 52]
    assert payloads[2:] == PLAIN[2:]
