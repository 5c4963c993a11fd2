"""The page: its shell at `/` and the files under `/web/`, held in memory. Public; the user's data is not in them."""

import hashlib
from importlib.resources import files

import msgspec
from litestar import HttpMethod, Response, route
from litestar.connection import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.answers import NotFound

SHELL = "index.html"
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}
ETAG_CHARACTERS = 20

Asked = Request[object, object, State]


class File(msgspec.Struct, frozen=True):
    """One file of the page."""

    body: bytes
    media_type: str
    etag: str


class Page:
    """All files of the page, read once."""

    def __init__(self) -> None:
        """Read them."""
        self._files: dict[str, File] = {}
        for each in files("api").joinpath("web").iterdir():
            suffix = each.name.rpartition(".")[2]
            if suffix in MEDIA_TYPES:
                body = each.read_bytes()
                etag = f'"{hashlib.sha256(body).hexdigest()[:ETAG_CHARACTERS]}"'
                self._files[each.name] = File(body, MEDIA_TYPES[suffix], etag)

    def answer(self, request: Asked, name: str) -> Response[bytes]:
        """Give a file, or 304 where the browser has it as it is."""
        file = self._files.get(name)
        if file is None:
            raise NotFound("a file of the page", repr(name[:60]), "open /")
        # The page changes with an update of Bahi, and then at once: browsers ask each time, and mostly hear 304.
        headers = {"etag": file.etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(b"", status_code=304, headers=headers, media_type=file.media_type)
        return Response(file.body, headers=headers, media_type=file.media_type)


READ = [HttpMethod.GET, HttpMethod.HEAD]


@route("/", http_method=READ, include_in_schema=False)
async def shell(page: NamedDependency[Page], request: Asked) -> Response[bytes]:
    """Give the page's shell."""
    return page.answer(request, SHELL)


@route("/favicon.ico", http_method=READ, include_in_schema=False)
async def icon(page: NamedDependency[Page], request: Asked) -> Response[bytes]:
    """Give the icon to those who do not read the shell."""
    return page.answer(request, "icon.svg")


@route("/web/{name:str}", http_method=READ, include_in_schema=False)
async def web_file(page: NamedDependency[Page], request: Asked, name: FromPath[str]) -> Response[bytes]:
    """Give a file of the page."""
    return page.answer(request, name)
