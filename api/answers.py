"""How errors are answered: {"detail": "wanted ...; found ...; ...", ...} with the status that fits.

Which status means what:

    400  what was sent cannot be served as it stands
    403  it is not signed by whom it says that it is from
    404  it names something that is not there
    413  it is larger than it can be
    503  a server or disk does not answer for now; with Retry-After and a remedy
    500  a defect; the log has the whole story, the answer none of it
"""

from collections.abc import Callable

from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from runtime.errors import BadInput, BahiError, Unreachable
from runtime.log import get

PATH_CHARACTERS_MAX = 200  # of what is shown of it
RETRY_SECONDS = 2  # a server that restarts is usually back by then

Asked = Request[object, object, State]
Body = dict[str, object]

_log = get("api")


class NotFound(BadInput):
    """What a client names is not there."""


class TooLarge(BadInput):
    """What a client sends is larger than it can be."""


class Forbidden(BadInput):
    """What a client sends does not prove that he may."""


def answer_error(request: Asked, error: BahiError) -> Response[Body]:
    """Answer one of our own errors."""
    body: Body = {"detail": str(error), "wanted": error.wanted, "found": error.found, "remedy": error.remedy}
    match error:
        case NotFound():
            return Response(body, status_code=404)
        case Forbidden():
            return Response(body, status_code=403)
        case TooLarge():
            return Response(body, status_code=413)
        case BadInput():
            return Response(body, status_code=400)
        case Unreachable():
            _log.warning("unreachable", path=request.scope["path"], wanted=error.wanted, found=error.found)
            return Response(body, status_code=503, headers={"retry-after": str(RETRY_SECONDS)})
        case _:
            return answer_defect(request, error)


def answer_http(request: Asked, error: HTTPException) -> Response[Body]:
    """Answer what the framework refuses: unknown paths, wrong methods, values of the wrong kind."""
    if error.status_code >= 500:
        return answer_defect(request, error)
    path, method = request.scope["path"][:PATH_CHARACTERS_MAX], request.scope["method"]
    match error.status_code:
        case 404:
            told = BadInput("a path that GET /schema lists", path, "mend it")
        case 405:
            told = BadInput(f"a method that {path} has", method, "GET /schema lists them")
        case _:
            listed = error.extra if isinstance(error.extra, list) else []
            found = "; ".join(_complaint(each) for each in listed) or error.detail
            told = BadInput(f"{method} {path} as GET /schema describes it", found, "mend it")
    body: Body = {"detail": str(told), "wanted": told.wanted, "found": told.found, "remedy": told.remedy}
    return Response(body, status_code=error.status_code, headers=error.headers)


def answer_nest(request: Asked, error: RecursionError) -> Response[Body]:
    """Answer a body that is nested deeper than can be read; any other recursion is a defect."""
    if "deserializing" not in str(error):
        return answer_defect(request, error)
    return answer_error(request, BadInput("a body as GET /schema describes it", "one nested without end", "mend it"))


def answer_defect(request: Asked, error: Exception) -> Response[Body]:
    """Answer what nobody foresaw."""
    _log.error("defect", path=request.scope["path"], exc_info=error)
    return Response({"detail": "a defect of Bahi's own; its log has the whole story"}, status_code=500)


def _complaint(each: object) -> str:
    """Give one complaint about a value as the framework lists them: where it stood, and what was wrong."""
    if not isinstance(each, dict):
        return str(each)
    return f"{each.get('message', '')} in `{each.get('key', '')}`"


Handlers = dict[int | type[Exception], Callable[..., Response[Body]]]
HANDLERS: Handlers = {
    BahiError: answer_error,
    HTTPException: answer_http,
    RecursionError: answer_nest,
    Exception: answer_defect,
}
