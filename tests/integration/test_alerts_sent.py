"""Messages on their way: from the log to a receiver that takes them, refuses them, keeps silent, or is not there."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from subprocess import PIPE

import msgspec
import pytest

from events.accounts import KINDS, STREAM, Outcome, Pulled, SyncRun
from events.archive import Archive
from events.messages import LOGIN_REFUSED, Beat, pack
from events.reader import Reader
from ops import alerts
from producers import sync
from producers.alerts import posting
from producers.alerts.outbox import ALERTS_FILE, Kept, Outbox, Place, places
from producers.alerts.posting import NO_ADDRESS, NOT_REACHED, OUT_OF_TIME
from producers.alerts.reactor import Reactor
from producers.alerts.seen import Terms
from runtime import log
from runtime.account_metrics import ALERTS_FAILED, ALERTS_SENT
from runtime.clock import ManualClock
from runtime.errors import SettingError
from runtime.lifecycle import Stop
from runtime.settings import Settings
from tests.exchange import fault
from tests.patience import PATIENCE_SECONDS, until
from tests.pollers import OWN, told, until_runs, whole
from tests.ports import free_port
from tests.receivers import Receiver, receiver
from tests.tickers import STREAM as FEED_STREAM
from tests.tickers import Watcher, market, nobody

SECRET = "s3cr3t-path-of-a-bot"
PASSWORD = "passw0rd-of-somebody"
TERMS = Terms(apart=0.0, healed=0.0, stale=900.0)


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


def run(outcome: Outcome, account: str = "ravi") -> SyncRun:
    return SyncRun(
        account=account,
        broker="kite",
        run="r",
        trigger="schedule",
        started_ns=time.time_ns(),
        finished_ns=time.time_ns(),
        outcome=outcome,
        kinds={kind: Pulled(ok=outcome == "ok") for kind in KINDS},
    )


class Telling:
    """A reactor whose looks the test makes, and whose letters are sent at once."""

    def __init__(self, settings: Settings, watcher: Watcher, urls: Sequence[str]) -> None:
        self.clock = ManualClock(time.time_ns())
        self.to, self.file = places(urls), settings.bahi_data_dir / "spool" / ALERTS_FILE
        self.outbox = Outbox(self.file, self.to)
        reader = Reader(watcher.log, Archive.at(settings))
        self.reactor = Reactor(settings, watcher.log, reader, self.clock, self.outbox, TERMS, retry_seconds=0.05)

    async def look(self) -> None:
        """Look, a second later than before."""
        self.clock.advance(1)
        await self.reactor.look()

    def kept(self) -> Kept:
        """Give what lies on the disk."""
        return msgspec.json.decode(self.file.read_bytes(), type=Kept)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send what there is; what is on its way at the end is cut off."""
        tasks = [asyncio.ensure_future(self.reactor.send(place, Stop())) for place in self.to]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until_delivered(self) -> None:
        """Wait until nothing is left to send."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.kept().letters:
                await self.reactor.look()


async def test_a_refused_token_and_its_healing_arrive_once_each_and_nothing_from_before_the_first_start(
    settings: Settings, watcher: Watcher
) -> None:
    await watcher.say(STREAM, run("refused", "old"))
    async with receiver() as receiving:
        telling = Telling(settings, watcher, [receiving.url()])
        async with telling.sending():
            await telling.look()
            assert telling.kept().n == 1
            await watcher.say(STREAM, run("refused"), run("refused"))
            for _ in range(3):
                await telling.look()
            (message,) = await receiving.until(1)
            assert message["title"] == "Bahi: ravi: log in, its token is refused"
            assert "bahi login kite ravi" in message["message"]
            await telling.until_delivered()
            await watcher.say(STREAM, run("ok"))
            await telling.look()
            await telling.look()
            await receiving.until(2)
            await telling.until_delivered()
        again = Telling(settings, watcher, [receiving.url()])
        async with again.sending():
            await again.look()
            await again.until_delivered()
    assert [each["type"] for each in receiving.taken] == ["warning", "success"]
    assert receiving.asked == 2


async def test_a_feed_whose_token_is_refused_is_told_by_its_newest_beat(settings: Settings, watcher: Watcher) -> None:
    beat = Beat(run="r", frames=0, packets=0, bytes=0, heartbeats=0, texts=0, last_message_ns=0, down=LOGIN_REFUSED)
    async with receiver() as receiving:
        telling = Telling(settings, watcher, [receiving.url()])
        async with telling.sending():
            for _ in range(4):
                telling.clock.advance(15)
                await watcher.say(FEED_STREAM, pack(beat, telling.clock.now_ns()))
                await telling.look()
            (message,) = await receiving.until(1)
    assert message["title"] == f"Bahi: {FEED_STREAM}: log in for prices"


async def test_a_receiver_that_fails_gets_it_later_and_holds_up_no_other(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("test", settings)
    port = free_port()
    absent = f"json://127.0.0.1:{port}/"
    async with receiver() as good, receiver() as refusing, receiver() as slow:
        refusing.status, slow.silent = 500, True
        urls = [absent, refusing.url(), slow.url("?rto=0.3"), good.url()]
        telling = Telling(settings, watcher, urls)
        failed = [ALERTS_FAILED.labels(place.name) for place in telling.to]
        async with telling.sending():
            await telling.look()
            await watcher.say(STREAM, run("refused"))
            await telling.look()
            await good.until(1)
            await refusing.until(2, asked=True)
            await slow.until(2, asked=True)
            (letter,) = telling.kept().letters
            assert {place.key for place in telling.to[:3]} <= set(letter.waiting)
            refusing.status, slow.silent = 200, False
            async with receiver(port) as late:
                for each in (refusing, slow, late):
                    await each.until(1)
                await telling.until_delivered()
                everybody = [good, refusing, slow, late]
    assert [len(each.taken) for each in everybody] == [1, 1, 1, 1]
    assert len({each.taken[0]["message"] for each in everybody}) == 1, "one letter, one id"
    assert all(each._value.get() >= 1 for each in failed[:3])
    assert ALERTS_SENT.labels("json 4")._value.get() >= 1
    said = capsys.readouterr().err
    assert "it answered 500" in said
    assert NOT_REACHED in said


async def test_one_that_never_answers_is_cut_off_in_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "POST_SECONDS_MAX", 3)
    async with receiver() as receiving:
        receiving.silent = True
        asked = posting.Asked(urls=[receiving.url("?rto=300")], title="a", text="b")
        assert await posting.post(asked) == [OUT_OF_TIME]


async def test_what_is_waiting_for_a_place_that_is_none_any_more_is_dropped(
    settings: Settings, watcher: Watcher
) -> None:
    telling = Telling(settings, watcher, ["json://127.0.0.1:9/a", "json://127.0.0.1:9/b"])
    await telling.look()
    await watcher.say(STREAM, run("refused"))
    await telling.look()
    assert len(telling.kept().letters[0].waiting) == 2
    rest = Outbox(telling.file, places(["json://127.0.0.1:9/b"]))
    assert len(rest.kept.letters[0].waiting) == 1
    assert not Outbox(telling.file, places(["json://127.0.0.1:9/c"])).kept.letters


async def test_no_secret_of_an_address_is_in_log_file_error_or_answer(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with receiver() as receiving:
        receiving.status = 500
        urls = (receiving.url(SECRET, f"{PASSWORD}:{PASSWORD}@"), f"json://127.0.0.1:9/{SECRET}", f"json://{SECRET}:x/")
        settings = msgspec.structs.replace(settings, alert_urls=urls, log_level="debug")
        log.configure("test", settings)
        telling = Telling(settings, watcher, urls)
        async with telling.sending():
            await telling.look()
            await watcher.say(STREAM, run("refused"))
            await telling.look()
            await receiving.until(2, asked=True)
        assert await alerts.test(settings) == 1
    wrong = msgspec.structs.replace(settings, alert_urls=(f"nonsense://{SECRET}",))
    with pytest.raises(ExceptionGroup) as refused:
        async with market(wrong):
            await sync.run(wrong, Stop(), nobody)
    (error,) = refused.value.exceptions
    assert isinstance(error, SettingError)
    output = capsys.readouterr()
    said = output.out + output.err + str(error) + telling.file.read_text() + repr(settings) + repr(telling.to)
    assert "nonsense://***" in str(error)
    assert "it answered 500" in output.out
    assert SECRET not in said
    assert PASSWORD not in said


async def bahi(settings: Settings, *words: str, urls: str) -> asyncio.subprocess.Process:
    """Start a command of Bahi as a process of its own."""
    own = {
        "PATH": os.environ["PATH"],
        "BAHI_DATA_DIR": str(settings.bahi_data_dir),
        "DATABASE_URL": str(settings.database_url),
        "REDIS_URL": str(settings.redis_url),
        "BAHI_SANDBOX_PORT": "0",
        "SYNC_INTERVAL_SECONDS": "5",
        "LOG_LEVEL": "debug",
        "ALERT_URLS": urls,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.cli", *words, stdout=PIPE, stderr=PIPE, env=own
    )


async def killed(process: asyncio.subprocess.Process) -> str:
    """End it as a power cut would; give what it said."""
    process.kill()
    out, err = await process.communicate()
    return (out + err).decode()


def kept(settings: Settings) -> Kept:
    path: Path = settings.bahi_data_dir / "spool" / ALERTS_FILE
    return msgspec.json.decode(path.read_bytes(), type=Kept) if path.exists() else Kept()


async def test_what_a_kill_9_left_in_the_outbox_is_sent_by_the_next_start_and_what_was_sent_is_not_sent_again(
    settings: Settings, watcher: Watcher
) -> None:
    port, receiving = free_port(), Receiver()
    url = f"json://127.0.0.1:{port}/{SECRET}"
    said = ""
    async with market(settings) as exchange:
        first = await bahi(settings, "sync", urls=url)
        await until_runs(watcher, 1, whole)
        await until(lambda: kept(settings).n >= 0)  # it has begun to look
        await fault(exchange, "expire_token", user=OWN)
        await until(lambda: bool(kept(settings).letters))
        said += await killed(first)
        (letter,) = kept(settings).letters
        async with receiver(port, receiving):
            for _ in range(2):  # the second start has nothing to send
                number = len(told(await watcher.all(STREAM), SyncRun))
                process = await bahi(settings, "sync", urls=url)
                await until_runs(watcher, number + 1)
                await receiving.until(1)
                await until(lambda: not kept(settings).letters)
                said += await killed(process)
    (message,) = receiving.taken
    assert letter.id in message["message"]
    assert f"bahi login sandbox {OWN}" in message["message"]
    assert kept(settings).book.letters == 1
    assert SECRET not in said


async def test_a_letter_whose_reactor_was_killed_meanwhile_is_left_to_the_next_start() -> None:
    async with receiver() as receiving:
        for asker, why in ((os.getpid() + 1, posting.ORPHAN), (os.getpid(), "")):
            asked = posting.Asked(urls=[receiving.url()], title="a", text="b", asker=asker)
            assert await posting.post(asked) == [why]
    assert len(receiving.taken) == 1


async def test_the_command_says_what_came_of_each_address(settings: Settings) -> None:
    async with receiver() as good, receiver() as refusing:
        refusing.status = 503
        process = await bahi(
            settings, "alerts", "test", urls=f"{good.url()},{refusing.url(SECRET)},nonsense://{SECRET}"
        )
        out, err = await process.communicate()
    assert out.decode().splitlines() == [
        "json 1: taken",
        "json 2: not taken: it answered 503",
        f"nonsense 3: not taken: {NO_ADDRESS}",
    ]
    assert process.returncode == 1
    assert SECRET not in (out + err).decode()
    assert good.taken[0]["title"] == "Bahi: a test"
    process = await bahi(settings, "alerts", "test", urls="")
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"wanted an address in ALERT_URLS" in err


def test_a_place_shows_no_address() -> None:
    (place,) = places([f"tgram://{SECRET}/1"])
    assert isinstance(place, Place)
    assert place.name == "tgram 1"
    assert SECRET not in repr(place)
