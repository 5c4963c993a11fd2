"""A shelf in a bucket of S3 or of a server that speaks its language (ARCHIVE_URL=s3://bucket/prefix).

Asked of the server, and why it is enough:

    what is put is there for all who read or list after it   strong consistency, of S3 since December 2020
    a put is all there or not at all                         one request a segment, never in parts that could be left
    a name is given once                                     `If-None-Match: *`, which fails where the name is taken

A server that does not know the last one would overwrite, and two archivers would destroy each other's segments. So
before its first segment each process puts a small object twice: a server that takes the second is never used.

Time. Nothing waits for ever: each request has its seconds, an upload some more by its size. What fails is asked again
by the library a few times within these, then by the caller, whose waits grow; a request that is cut off has put its
segment or has not, and the next attempt finds out which. Credentials are in no message: errors carry the server's
own code and words, which name the bucket and the request.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import S3Store

from events.shelf import Name, first_of
from runtime.errors import ArchiveUnsafe, SettingError, Unreachable
from runtime.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig  # its types are there for checkers only

CONNECT_SECONDS = 5.0  # a TCP and TLS handshake over a bad line
CALL_SECONDS = 20.0  # for one request with its retries: a server under load answers in a few
SLOWEST_BYTES_PER_SECOND = 64 * 1024  # half a megabit: a slower line cannot bring a day's ticks up in a day
RETRIES_MAX = 3  # of one request, at 5xx and broken connections; the wait between them grows from RETRY_FIRST_SECONDS
RETRY_FIRST_SECONDS, RETRY_LAST_SECONDS = 0.1, 2.0
PAGE_NAMES = 1000  # S3's own most for one listing request
PUT_BYTES_MAX = 5 * 1000**3  # S3's own most for one put; a spool file has a fifth of it
PROBE = "create-only"
PROBE_CONTENT = b"Bahi puts this to see that a name is given once. Leave it here.\n"
SAID_CHARACTERS = 200  # of what the server says
NOT_PARTIAL = "non-partial response"  # what the library says of an answer that holds all where a part was asked
REFUSED = ("status code: 401", "status code: 403")
_CODE = re.compile(r"<Code>([^<]*)</Code>(?:\s*<Message>([^<]*)</Message>)?")

assert CONNECT_SECONDS < CALL_SECONDS, "a server that is away is told from one that is slow"

T = TypeVar("T")


def connect(settings: Settings, request_seconds: float | None = None) -> S3Store:
    """Give the library's store for ARCHIVE_URL; nothing is asked yet. Raises SettingError.

    request_seconds: the most that one request may take; without it, what the largest upload takes.
    """
    parts = urlsplit(settings.archive_url)
    endpoint = urlsplit(settings.aws_endpoint_url or "")
    given = {
        "endpoint": settings.aws_endpoint_url,
        "aws_endpoint_url_s3": settings.aws_endpoint_url,
        "region": settings.aws_region,
        "access_key_id": settings.aws_access_key_id,
        "secret_access_key": settings.aws_secret_access_key,
        "session_token": settings.aws_session_token,
        "conditional_put": "etag",
    }
    client: ClientConfig = {
        "allow_http": endpoint.scheme == "http" and (settings.aws_allow_http or endpoint.hostname in LOOPBACK),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=request_seconds or _put_seconds(PUT_BYTES_MAX)),
    }
    if settings.aws_ca_bundle is not None:
        client["root_certificate"] = _certificates(settings)
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config={name: value for name, value in given.items() if value},  # type: ignore[arg-type]  # names come by loop
        client_options=client,
        retry_config={
            "max_retries": RETRIES_MAX,
            "retry_timeout": timedelta(seconds=CALL_SECONDS),
            "backoff": {
                "init_backoff": timedelta(seconds=RETRY_FIRST_SECONDS),
                "max_backoff": timedelta(seconds=RETRY_LAST_SECONDS),
                "base": 2,
            },
        },
    )


class Bucket:
    """A shelf in a bucket."""

    def __init__(self, store: S3Store, place: str) -> None:
        """Take the store and how it is called."""
        self._store = store
        self._place = place
        self._proved = False

    @classmethod
    def at(cls, settings: Settings) -> "Bucket":
        """Give the bucket at ARCHIVE_URL. Raises SettingError."""
        return cls(connect(settings), settings.archive_url)

    @property
    def place(self) -> str:
        """Give s3://bucket/prefix."""
        return self._place

    async def streams(self) -> list[str]:
        """Give the streams of which a segment stands here, sorted. Raises Unreachable."""
        listed = await self._asked(lambda: obstore.list_with_delimiter_async(self._store))
        names = [path.rpartition("/")[2] for path in listed["common_prefixes"]]
        held = await asyncio.gather(*map(self._holds_segments, names))
        return sorted(name for name, holds in zip(names, held, strict=True) if holds)

    async def _holds_segments(self, stream: str) -> bool:
        async for firsts in self._pages(stream, 0):
            return bool(firsts)  # one page tells: what is not a segment does not belong here
        return False

    async def firsts(self, stream: str, at_least: int) -> list[int]:
        """Give the first n of a stream's segments from `at_least` on, sorted. Raises Unreachable."""
        return [first async for page in self._pages(stream, at_least) for first in page]

    async def _pages(self, stream: str, at_least: int) -> AsyncIterator[list[int]]:
        """Give the first n of a stream's segments from `at_least` on, a page of the listing at a time."""
        behind = str(Name(stream, at_least - 1)) if at_least else None
        listing = obstore.list(self._store, stream, offset=behind, chunk_size=PAGE_NAMES)
        while page := await self._asked(lambda: anext(listing, None)):
            found = (first_of(each["path"].rpartition("/")[2]) for each in page)
            yield [first for first in found if first is not None]

    async def read(self, name: Name, offset: int, length: int) -> bytes:
        """Give up to `length` bytes from `offset` on, a negative one counted from the end. Raises Unreachable."""
        if length <= 0:
            return b""
        wanted: GetOptions = {"range": (offset, offset + length) if offset >= 0 else {"suffix": -offset}}
        try:
            return (await self._asked(lambda: self._part(name, wanted), length))[:length]
        except _NoSuchPart:
            found = await self._asked(lambda: obstore.head_async(self._store, str(name)))
            if found["size"] > max(offset, 0):
                raise self._away(f"no way to read a part of {name}", "use a server that serves ranges") from None
            return b""

    async def _part(self, name: Name, wanted: "GetOptions") -> bytes:
        got = await obstore.get_async(self._store, str(name), options=wanted)
        return bytes(await got.bytes_async())

    async def create(self, name: Name, content: bytes) -> bool:
        """Put a segment, say whether the name was free. Raises Unreachable, ArchiveUnsafe."""
        assert len(content) <= PUT_BYTES_MAX, "SPOOL_FILE_BYTES_MAX is less"
        if not self._proved:
            await self._prove_create_only()
            self._proved = True
        return await self._create(str(name), content)

    async def _prove_create_only(self) -> None:
        """See that the server refuses a name that is taken. Raises ArchiveUnsafe."""
        if await self._create(PROBE, PROBE_CONTENT) and await self._create(PROBE, PROBE_CONTENT):
            raise self._unsafe("it took a second put under one name")

    async def _create(self, path: str, content: bytes) -> bool:
        seconds = _put_seconds(len(content))
        try:
            await self._asked(
                lambda: obstore.put_async(self._store, path, content, mode="create", use_multipart=False),
                seconds=seconds,
            )
        except exceptions.AlreadyExistsError:
            return False
        return True

    async def sweep(self, stream: str) -> None:
        """Do nothing: a segment is put by one request, which leaves nothing half written."""

    async def _asked(self, ask: Callable[[], Awaitable[T]], size: int = 0, seconds: float = 0.0) -> T:
        """Ask within the time that `size` bytes take. Raises Unreachable, ArchiveUnsafe, AlreadyExistsError."""
        seconds = seconds or _put_seconds(size)
        try:
            async with asyncio.timeout(seconds):
                return await ask()
        except exceptions.AlreadyExistsError:
            raise
        except TimeoutError as error:
            raise self._away(f"no answer within {seconds:.0f} s", "is the server well, and the line?") from error
        except (exceptions.BaseError, OSError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> Exception:
        """Give the error for what the server or the library answered."""
        text = str(error)
        code, said = _CODE.search(text), _said(text)
        match code[1] if code else "":
            case "InvalidRange":
                return _NoSuchPart()
            case "NoSuchBucket":
                return self._away(said, "make that bucket, or set ARCHIVE_URL and AWS_REGION right")
            case "NotImplemented":
                return self._unsafe(said)
        if NOT_PARTIAL in text:
            return _NoSuchPart()
        if any(status in text for status in REFUSED):  # the library has a class for it, but not where it lists
            remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY right, or let that key list, read and put there"
            return self._away(said, remedy)
        return self._away(said, "is the server there? AWS_ENDPOINT_URL and AWS_REGION say where it is asked")

    def _away(self, found: str, remedy: str) -> Unreachable:
        return Unreachable(f"the archive in {self._place}", found, remedy)

    def _unsafe(self, found: str) -> ArchiveUnsafe:
        return ArchiveUnsafe(
            f"a server for {self._place} that refuses a name that is taken (If-None-Match: *)",
            found,
            "use another server or release, see docs/durability.md; until then nothing is archived or trimmed",
        )


class _NoSuchPart(Exception):
    """A read begins behind the end of a segment, or the server does not serve parts."""


def _put_seconds(size: int) -> float:
    return CALL_SECONDS + size / SLOWEST_BYTES_PER_SECOND


def _said(text: str) -> str:
    """Give the server's code and words, or the library's first line."""
    code = _CODE.search(text)
    if code:
        return ": ".join(part for part in code.groups() if part)[:SAID_CHARACTERS]
    first = text.partition("\n")[0]
    return re.sub(r"^.*? Error performing ", "", first)[:SAID_CHARACTERS]


def _certificates(settings: Settings) -> bytes:
    assert settings.aws_ca_bundle is not None, "asked by its caller"
    try:
        return settings.aws_ca_bundle.read_bytes()
    except OSError as error:
        raise SettingError(
            "AWS_CA_BUNDLE to be a file of certificates", str(error), "mend it, or leave it out"
        ) from error
