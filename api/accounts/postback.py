"""`POST /postback/kite`: the broker says that an order changed. Open to everyone, because Kite has no key of ours.

    body        at most BODY_BYTES_MAX, JSON with user_id, order_id, order_timestamp and checksum     413, 400
    who         the customer's app must be known: its secret lies in the vault                         404
    signature   checksum = sha256(order_id + order_timestamp + api_secret)                             403
    then        the request to pull is in the log, once for each body: a replay is the same request    200

The signature covers neither status nor quantities, so nothing of a body is ever believed: it is a reason to ask the
broker, and no more. Who replays one, or changes it, has the account pulled once more, at most once a second.
"""

import asyncio
import hashlib
import hmac
from pathlib import Path

import msgspec
from litestar import post
from litestar.di import NamedDependency

from api.answers import Asked, Forbidden, NotFound, TooLarge
from api.requests import Requests
from events.accounts import NAME, OrderUpdated
from runtime.errors import BadInput
from runtime.settings import Settings
from runtime.vault import Vault, customer_secret

BODY_BYTES_MAX = 64 * 1024  # an order's postback has 1.5 KB (Kite Connect v3, "Postbacks"); a tag has 20 characters


class Postback(msgspec.Struct):
    """What is read of a postback."""

    user_id: str
    order_id: str
    order_timestamp: str
    checksum: str


class PostbackTaken(msgspec.Struct):
    """What Kite is told, and does not read."""

    taken: bool = True


@post(
    "/postback/kite",
    status_code=200,
    summary="What the broker says of an order",
    tags=["accounts"],
    security=[{}],
)
async def take_postback(
    settings: NamedDependency[Settings], requests: NamedDependency[Requests], request: Asked
) -> PostbackTaken:
    """Have the account pulled whose order changed, if the app's secret has signed it."""
    body = await request.body()  # read whole, up to the limit of all requests: who still sends hears no answer
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(f"a postback of at most {BODY_BYTES_MAX} bytes", f"{len(body)} bytes", "it is none of Kite's")
    said = _read(body)
    secret = await asyncio.to_thread(_secret, settings.bahi_data_dir, settings.broker[0], said.user_id)
    wanted = hashlib.sha256(f"{said.order_id}{said.order_timestamp}{secret}".encode()).hexdigest()
    if not hmac.compare_digest(wanted.encode(), said.checksum.encode()):
        raise Forbidden("a checksum made with this app's secret", "another one", "set the account's api_secret")
    await requests.take(
        OrderUpdated(
            broker=settings.broker[0],
            user=said.user_id,
            order_id=said.order_id,
            by="postback",
            body=body,
            key=f"postback-{hashlib.sha256(body).hexdigest()}",
        )
    )
    return PostbackTaken()


def _read(body: bytes) -> Postback:
    try:
        return msgspec.json.decode(body, type=Postback)
    except msgspec.DecodeError as error:
        wanted = "a postback: JSON with user_id, order_id, order_timestamp and checksum"
        raise BadInput(wanted, str(error), "see Kite's documentation") from None


def _secret(data_dir: Path, broker: str, user: str) -> str:
    """Give the secret of the customer's app. Raises NotFound for a customer whom nobody knows."""
    held = Vault(data_dir).get(customer_secret(broker, user)) if NAME.fullmatch(user) else None
    if held is None:
        raise NotFound("a customer whose account is pulled", repr(user[:60]), "add the account, with its api_secret")
    return held[0]
