"""The archive in a bucket when its server fails: each failure is told, costs time only, and leaves no half segment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from events.archive import Archive
from events.bucket import PROBE, Bucket
from events.shelf import Name
from runtime.errors import ArchiveConflict, ArchiveUnsafe, SettingError, Unreachable
from runtime.settings import Settings, load
from tests import buckets
from tests.buckets import Inside, Way
from tests.entries import STREAM, entries
from tests.patience import PATIENCE_SECONDS

SECRET = buckets.KEY["AWS_SECRET_ACCESS_KEY"]
FIRST = Name(STREAM, 1)


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.bucket.RETRY_FIRST_SECONDS", 0.01)
    monkeypatch.setattr("events.bucket.RETRY_LAST_SECONDS", 0.02)


@pytest.fixture
def bucket(s3_address: str) -> str:
    return buckets.new_bucket(s3_address)


@pytest.fixture
def inside(s3_address: str, bucket: str) -> Inside:
    return Inside(s3_address, bucket)


@pytest.fixture
async def way(s3_address: str) -> AsyncIterator[Way]:
    async with Way(s3_address).open() as way:
        yield way


def settings(address: str, bucket: str, **more: str) -> Settings:
    return load(buckets.environ(address, bucket, **more))


@contextlib.contextmanager
def told(wanted: str) -> Iterator[None]:
    """See that what is done inside is refused with these words, and with no secret in them."""
    with pytest.raises(Unreachable, match=wanted) as error:
        yield
    assert SECRET not in str(error.value)
    assert "s3://" in error.value.wanted


async def everything(archive: Archive) -> list[str]:
    """Ask the archive in each way there is; give what each of them said."""
    said = []
    ways = [archive.streams(), archive.last(STREAM), archive.entries(STREAM, 1), archive.put(STREAM, entries(1, 9))]
    for asked in ways:
        with pytest.raises(Unreachable) as error:
            await asked
        assert SECRET not in str(error.value)
        said.append(f"{error.value.found} {error.value.remedy}")
    return said


async def test_a_bucket_that_is_not_there(s3_address: str) -> None:
    for said in await everything(Archive.at(settings(s3_address, "nobody-made-it"))):
        assert "NoSuchBucket" in said
        assert "make that bucket" in said


async def test_a_key_that_is_refused() -> None:
    with buckets.server(requests_without_key=1) as address:
        for said in await everything(Archive.at(settings(address, buckets.new_bucket(address)))):
            assert "InvalidAccessKeyId" in said
            assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY right" in said


async def test_a_server_that_is_away(taken_port: int, bucket: str) -> None:
    for said in await everything(Archive.at(settings("http://127.0.0.1:9", bucket))):
        assert "is the server there?" in said


@pytest.mark.parametrize("fault", ["hang", "deaf"])
async def test_a_server_that_hangs(
    way: Way, bucket: str, inside: Inside, fault: buckets.Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.at(settings(way.address, bucket))
    await archive.put(STREAM, entries(1, 9))
    way.fault = fault
    monkeypatch.setattr("events.bucket.CALL_SECONDS", 1.0)  # only while nobody answers: a healthy server may be slow
    with told("no answer within 1 s"):
        await archive.last(STREAM)
    with told("no answer within"):
        await Archive.at(settings(way.address, bucket)).entries(STREAM, 1)
    with told("no answer within"):
        await archive.put(STREAM, entries(10, 19))
    assert inside.names() == [PROBE, str(FIRST)]
    way.fault = "none"
    monkeypatch.setattr("events.bucket.CALL_SECONDS", PATIENCE_SECONDS)
    await archive.put(STREAM, entries(10, 19))


async def test_waiting_for_a_server_can_be_called_off(way: Way, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.bucket.CALL_SECONDS", 600.0)
    way.fault = "hang"
    asking = asyncio.create_task(Archive.at(settings(way.address, bucket)).put(STREAM, entries(1, 9)))
    await way.struck.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()


async def test_a_server_that_is_busy_is_asked_again_a_few_times(way: Way, bucket: str) -> None:
    way.fault = "busy"
    with told("SlowDown: Later"):
        await Archive.at(settings(way.address, bucket)).last(STREAM)
    assert way.methods == ["GET"] * 4


async def test_another_put_under_the_name_at_the_same_moment_is_waited_for(
    way: Way, bucket: str, inside: Inside
) -> None:
    archive = Archive.at(settings(way.address, bucket))
    await archive.put(STREAM, entries(1, 9))
    way.fault = "conflict"
    with told("archive in"):  # whether it comes to stand there nobody knows yet
        await archive.put(STREAM, entries(10, 19))
    way.fault = "none"
    await archive.put(STREAM, entries(10, 19))
    assert await archive.entries(STREAM, 10) == entries(10, 19)


async def test_an_answer_that_is_lost_gives_the_name_to_the_same_segment(way: Way, bucket: str, inside: Inside) -> None:
    shelf = Bucket.at(settings(way.address, bucket))
    assert await shelf.create(FIRST, b"a segment")
    way.fault = "unanswered"
    second = Name(STREAM, 10)
    with contextlib.suppress(Unreachable):
        await shelf.create(second, b"another")
    await way.struck.wait()
    way.fault = "none"
    assert not await shelf.create(second, b"another")
    assert inside.content(str(second)) == b"another"


async def test_a_put_after_a_lost_answer_finds_its_own_segment(way: Way, bucket: str) -> None:
    archive = Archive.at(settings(way.address, bucket))
    await archive.put(STREAM, entries(1, 9))
    way.fault = "unanswered"
    with pytest.raises(Unreachable):
        await archive.put(STREAM, entries(10, 19))
    way.fault = "none"
    assert (await archive.put(STREAM, entries(10, 19))).last == 19
    with pytest.raises(ArchiveConflict):
        await archive.put(STREAM, entries(10, 29))


async def test_a_server_that_overwrites_is_not_used(way: Way, bucket: str, inside: Inside) -> None:
    way.fault = "overwrite"
    archive = Archive.at(settings(way.address, bucket))
    for _ in range(2):
        with pytest.raises(ArchiveUnsafe, match="took a second put under one name"):
            await archive.put(STREAM, entries(1, 9))
    assert inside.names() == [PROBE]


async def test_that_a_name_is_given_once_is_seen_once_by_each_process(way: Way, bucket: str) -> None:
    for expected in (["PUT"] * 3, ["PUT"] * 2):
        shelf = Bucket.at(settings(way.address, bucket))
        way.methods.clear()
        await shelf.create(Name(STREAM, len(expected)), b"a segment")
        assert way.methods == expected
        await shelf.create(Name(STREAM, len(expected)), b"a segment")
        assert way.methods == [*expected, "PUT"]


async def test_an_upload_in_parts_that_nobody_finished_is_not_seen_and_takes_no_name(
    s3_address: str, bucket: str, inside: Inside
) -> None:
    path = f"{bucket}/{buckets.PREFIX}/{FIRST}"
    begun = buckets.ask(s3_address, "POST", f"{path}?uploads").decode()
    upload = begun.partition("<UploadId>")[2].partition("<")[0]
    buckets.ask(s3_address, "PUT", f"{path}?partNumber=1&uploadId={upload}", b"half a segment" * 1000)
    archive = Archive.at(settings(s3_address, bucket))
    assert await archive.last(STREAM) == 0
    await archive.put(STREAM, entries(1, 9))
    assert await archive.entries(STREAM, 1) == entries(1, 9)


async def test_a_large_segment_is_one_put(way: Way, bucket: str, inside: Inside) -> None:
    shelf = Bucket.at(settings(way.address, bucket))
    content = bytes(range(256)) * (48 << 12)
    way.methods.clear()
    assert await shelf.create(FIRST, content)
    assert way.methods == ["PUT"] * 3, "two of them for the proof that a name is given once"
    assert inside.content(str(FIRST)) == content


async def test_a_listing_of_many_pages_is_whole_and_goes_on_where_it_was(
    way: Way, bucket: str, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in range(1, 1250):
        inside.replace(str(Name(STREAM, first)), b"")
    shelf = Bucket.at(settings(way.address, bucket))
    assert await shelf.firsts(STREAM, 0) == list(range(1, 1250))
    way.methods.clear()
    assert await shelf.firsts(STREAM, 1240) == list(range(1240, 1250))
    assert way.methods == ["GET"]


@pytest.mark.parametrize(
    ("offset", "length", "found"),
    [(0, 3, b"012"), (8, 5, b"89"), (10, 1, b""), (99, 1, b""), (-3, 9, b"789"), (-99, 3, b"012"), (4, 0, b"")],
)
async def test_a_part_is_read_wherever_it_is_asked_for(
    s3_address: str, bucket: str, offset: int, length: int, found: bytes
) -> None:
    shelf = Bucket.at(settings(s3_address, bucket))
    assert await shelf.create(FIRST, b"0123456789")
    assert await shelf.read(FIRST, offset, length) == found


async def test_plain_http_is_refused_where_the_endpoint_does_not_say_it(s3_address: str, bucket: str) -> None:
    with told("is the server there?"):
        await Archive.at(settings(s3_address.replace("http:", "https:"), bucket)).last(STREAM)


def test_certificates_that_are_not_there_are_told(tmp_path: Path, s3_address: str, bucket: str) -> None:
    with pytest.raises(SettingError, match="AWS_CA_BUNDLE"):
        Archive.at(settings(s3_address, bucket, AWS_CA_BUNDLE=str(tmp_path / "none.pem")))
