"""Events as bytes: what was once written is read for ever, and nothing else is taken for an event."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import accounts, codec, messages
from events.event import EVENT_BYTES_MAX, Event, Recorded
from runtime.errors import BadEvent, BadInput, LogRotten, UnknownEvent
from tests.entries import START_NS, STREAM, entry, event

# One entry of each type and version ever released, in hexadecimal: never changed, only added to.
GOLDEN = Path(__file__).parent.parent / "golden" / "events"

FRAME = bytes.fromhex("0001000800063a01000227ef")  # one ltp packet: INFY at 1412.95
SAID: dict[str, Event] = {
    "kite.frame.v1": Event("kite.frame.v1", START_NS, FRAME),
    "kite.text.v1": Event("kite.text.v1", START_NS, b'{"type": "message", "data": "hello"}'),
    **{
        type(message).__struct_config__.tag: messages.pack(message, START_NS)  # type: ignore[misc] # each tag is a str
        for message in (
            messages.Beat(
                run="a1", frames=7, packets=70, bytes=13_034, heartbeats=3, texts=1, last_message_ns=START_NS - 1
            ),
            messages.Connected(run="a1", local_port=50_123, server="ws://127.0.0.1:8765"),
            messages.Subscribed(run="a1", tokens=[408065, 256265], mode="full"),
            messages.Lost(from_ns=START_NS - 5, reason="closed by the server"),
            messages.Stalled(silent_ms=5_000),
            messages.Gap(from_ns=START_NS - 5, to_ns=START_NS, reason="closed by the server"),
            messages.Takeover(host="desk", tombstones=[(5, 6), (9, 9)], checkpoints={"ticks": 4}, lost=3),
            messages.Tombstone(),
            messages.Subscribe(instruments=["NSE:INFY", "256265"], key="k1"),
            messages.Unsubscribe(instruments=["NSE:INFY"], key="k2"),
            messages.Sync(what="instruments", key="k3"),
            messages.Retry(projector="ticks", stream="ticks-kite-1", n=184_022, reason="mended", by="desk", key="k4"),
            messages.SetAside(projector="candles", stream="ticks-kite-1", n=9, reason="a test", by="desk", key="k5"),
            messages.TokenChanged(broker="kite", version=3),
            messages.InstrumentsPart(dump="d1", part=1, body=bytes(range(256))),
            messages.InstrumentsDump(
                dump="d1",
                broker="sandbox",
                day="2026-04-12",
                parts=1,
                rows=60,
                sha256="00" * 32,
                asked_ns=START_NS - 9,
                answered_ns=START_NS,
            ),
            accounts.Known(account="main", broker="kite", user="AB1234", name="Family"),
            accounts.SnapshotPart(account="main", kind="orders", sha256="00" * 32, part=1, body=b"(\xb5/\xfd"),
            accounts.Snapshot(
                account="main",
                broker="kite",
                kind="orders",
                run="r1",
                asked_ns=START_NS - 9,
                answered_ns=START_NS,
                sha256="00" * 32,
                body=b"(\xb5/\xfd",
            ),
            accounts.SyncRun(
                account="main",
                broker="kite",
                run="r1",
                trigger="schedule",
                started_ns=START_NS - 9,
                finished_ns=START_NS,
                outcome="partial",
                kinds={
                    "orders": accounts.Pulled(ok=True, rows=3),
                    "trades": accounts.Pulled(ok=False, tries=3, error_type="Unreachable", error="no answer in 7 s"),
                },
                error="trades: no answer in 7 s",
                asked=[("requests", 7)],
            ),
            accounts.ChargesTold(
                account="main",
                broker="kite",
                run="r1",
                asked_ns=START_NS - 9,
                answered_ns=START_NS,
                asked=b"(\xb5/\xfd",
                body=b"(\xb5/\xfd\x00",
            ),
            accounts.Forwarded(
                stream="requests",
                n=7,
                at_ns=START_NS,
                kind="strategy.set.v1",
                payload=msgspec.Raw(b'{"type":"strategy.set.v1","strategy":"7"}'),
            ),
            accounts.PullAccounts(accounts=["main"], kinds=["orders"], key="k6"),
            accounts.OrderUpdated(
                broker="kite", user="AB1234", order_id="250101000000001", by="postback", body=b"{}", key="k7"
            ),
            accounts.AccountSet(account="main", broker="kite", user="AB1234", name="Family", key="k8"),
            accounts.StrategySet(strategy="7", name="Breakout", description="of the first hour", key="k9"),
            accounts.RuleSet(
                rule="r1", strategy="7", kind="symbol", pattern="NFO:NIFTY*", valid_from="2026-04-01", key="k10"
            ),
            accounts.RuleRemoved(rule="r1", key="k11"),
            accounts.ActionSet(
                action="a1",
                kind="split",
                exchange="NSE",
                tradingsymbol="INFY",
                day="2026-04-13",
                ratio_old=1,
                ratio_new=5,
                key="k12",
            ),
            accounts.TariffSet(broker="kite", text="", sha256="00" * 32, key="k13"),
            accounts.FillSet(
                fill="f1",
                account="main",
                exchange="NFO",
                tradingsymbol="NIFTY2641324000CE",
                product="NRML",
                side="SELL",
                quantity="75",
                price="12.35",
                time_ns=START_NS,
                reason="expired in the money",
                key="k14",
            ),
        )
    },
}


def golden() -> Iterator[tuple[str, bytes]]:
    for path in sorted(GOLDEN.glob("*.hex")):
        yield path.stem, bytes.fromhex(path.read_text())


def test_each_type_has_golden_bytes() -> None:
    assert {name for name, _ in golden()} >= codec.KNOWN_TYPES | codec.UPCASTERS.keys()


@pytest.mark.parametrize(("name", "written"), list(golden()), ids=[name for name, _ in golden()])
def test_golden_bytes_are_read_as_they_were_meant(name: str, written: bytes) -> None:
    said = SAID[name]
    assert codec.decode(STREAM, written) == Recorded(STREAM, 7, said.at_ns, said.type, said.payload)


@pytest.mark.parametrize(("name", "written"), list(golden()), ids=[name for name, _ in golden()])
def test_the_same_event_gives_the_same_bytes_for_ever(name: str, written: bytes) -> None:
    assert codec.encode(7, SAID[name]) == written


def kinds(of: type[messages.Message]) -> Iterator[type[messages.Message]]:
    """Give a class of messages and all below it."""
    yield of
    for each in of.__subclasses__():
        yield from kinds(each)


@pytest.mark.parametrize("said", [said for said in SAID.values() if not said.type.startswith("kite.")])
def test_messages_are_read_as_they_were_packed(said: Event) -> None:
    wanted = next(each for each in kinds(messages.Message) if each.__struct_config__.tag == said.type)
    message = messages.unpack(Recorded(STREAM, 1, said.at_ns, said.type, said.payload), wanted)
    assert messages.pack(message, said.at_ns) == said


def test_a_payload_that_is_not_the_message_is_a_bad_event() -> None:
    for payload in (b"", b"[]", b'{"type": "feed.beat.v1"}', b'{"type": "feed.gap.v1", "from_ns": 1}', b"\xff"):
        with pytest.raises(BadEvent, match=f"at {STREAM} 9"):
            messages.unpack(Recorded(STREAM, 9, START_NS, "feed.beat.v1", payload), messages.Beat)


NUMBERS, TIMES = st.integers(1, 2**63 - 1), st.integers(-(2**63), 2**63 - 1)


@given(n=NUMBERS, at_ns=TIMES, kind=st.sampled_from(sorted(codec.KNOWN_TYPES)), payload=st.binary(max_size=400))
def test_what_goes_in_comes_out(n: int, at_ns: int, kind: str, payload: bytes) -> None:
    written = codec.encode(n, Event(kind, at_ns, payload))
    assert codec.intact(written)
    assert (codec.entry_n(written), codec.entry_at_ns(written)) == (n, at_ns)
    assert codec.decode(STREAM, written) == Recorded(STREAM, n, at_ns, kind, payload)


def test_every_bit_that_turns_is_found() -> None:
    written = entry(7, "a tick")
    for place in range(len(written) * 8):
        turned = bytearray(written)
        turned[place // 8] ^= 1 << place % 8
        with pytest.raises(LogRotten):
            codec.decode(STREAM, bytes(turned))


def test_every_length_but_the_right_one_is_found() -> None:
    written = entry(7, "a tick")
    for cut in range(len(written)):
        with pytest.raises(LogRotten):
            codec.decode(STREAM, written[:cut])
    with pytest.raises(LogRotten):
        codec.decode(STREAM, written + b"\0")


def test_an_event_of_a_megabyte_is_the_largest() -> None:
    codec.check(Event("kite.text.v1", START_NS, bytes(EVENT_BYTES_MAX)))
    with pytest.raises(BadInput, match="numbered parts"):
        codec.check(Event("kite.text.v1", START_NS, bytes(EVENT_BYTES_MAX + 1)))


def test_only_known_types_are_written() -> None:
    with pytest.raises(BadInput, match=r"kite\.frame\.v9"):
        codec.check(Event("kite.frame.v9", START_NS, b""))


def test_an_unknown_type_stops_its_reader() -> None:
    newer = codec.encode(7, msgspec.structs.replace(event("from next year"), type="kite.frame.v9"))
    with pytest.raises(UnknownEvent, match=rf"kite\.frame\.v9 at {STREAM} 7.*update Bahi"):
        codec.decode(STREAM, newer)


def test_an_old_version_is_raised_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(old: Recorded) -> Recorded:
        return msgspec.structs.replace(old, type="kite.text.v0", payload=old.payload.upper())

    def add_mark(old: Recorded) -> Recorded:
        return msgspec.structs.replace(old, type="kite.text.v1", payload=old.payload + b"!")

    monkeypatch.setitem(codec.UPCASTERS, "broker.text.v3", rename)
    monkeypatch.setitem(codec.UPCASTERS, "kite.text.v0", add_mark)
    oldest = codec.encode(7, Event("broker.text.v3", START_NS, b"hello"))
    assert codec.decode(STREAM, oldest) == Recorded(STREAM, 7, START_NS, "kite.text.v1", b"HELLO!")
    old = codec.encode(8, Event("kite.text.v0", START_NS, b"hello"))
    assert codec.decode(STREAM, old) == Recorded(STREAM, 8, START_NS, "kite.text.v1", b"hello!")
