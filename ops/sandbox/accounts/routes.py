"""Kite's REST of orders and portfolio, over the desk."""

import msgspec
from aiohttp import web

from ops.sandbox.accounts import charges, margin, shown
from ops.sandbox.accounts.charges import Asked
from ops.sandbox.accounts.desk import Desk
from ops.sandbox.envelope import Refusal, input_refused, success
from ops.sandbox.rest import Rest

SEGMENTS = ("equity", "commodity")


class AccountRoutes:
    """Answers requests of one user, whom the access token names."""

    def __init__(self, desk: Desk, rest: Rest) -> None:
        """rest: knows who may ask, and counts it."""
        self._desk, self._rest = desk, rest

    def routes(self) -> list[web.RouteDef]:
        """Give all of them."""
        return [
            web.get("/orders", self.orders),
            web.get("/orders/{order_id}", self.history),
            web.get("/orders/{order_id}/trades", self.order_trades),
            web.post("/orders/{variety}", self.place),
            web.put("/orders/{variety}/{order_id}", self.modify),
            web.delete("/orders/{variety}/{order_id}", self.cancel),
            web.get("/trades", self.trades),
            web.get("/portfolio/positions", self.positions),
            web.put("/portfolio/positions", self.convert),
            web.get("/portfolio/holdings", self.holdings),
            web.post("/charges/orders", self.charges),
            web.get("/user/margins", self.margins),
            web.get("/user/margins/{segment}", self.margins),
        ]

    async def orders(self, request: web.Request) -> web.StreamResponse:
        """Give all orders of today."""
        user = self._rest.admit(request, "other").user
        return success([shown.order(user, each) for each in self._desk.book(user).orders.values()])

    async def history(self, request: web.Request) -> web.StreamResponse:
        """Give every state of one order."""
        user = self._rest.admit(request, "other").user
        order = self._desk.order(user, request.match_info["order_id"])
        return success([shown.order(user, order, state) for state in order.history])

    async def order_trades(self, request: web.Request) -> web.StreamResponse:
        """Give the trades of one order."""
        user = self._rest.admit(request, "other").user
        order = self._desk.order(user, request.match_info["order_id"])
        return success([shown.trade(each) for each in self._desk.book(user).trades if each.order_id == order.order_id])

    async def trades(self, request: web.Request) -> web.StreamResponse:
        """Give all trades of today."""
        user = self._rest.admit(request, "other").user
        return success([shown.trade(each) for each in self._desk.book(user).trades])

    async def place(self, request: web.Request) -> web.StreamResponse:
        """Take an order."""
        session = self._rest.admit(request, "order")
        form = {name: str(value) for name, value in (await request.post()).items()}
        placed = self._desk.place(session.user, request.match_info["variety"], form, session.api_key)
        return success({"order_id": placed})

    async def modify(self, request: web.Request) -> web.StreamResponse:
        """Change an order."""
        user = self._rest.admit(request, "order").user
        form = {name: str(value) for name, value in (await request.post()).items()}
        return success({"order_id": self._desk.modify(user, request.match_info["order_id"], form)})

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Cancel an order."""
        user = self._rest.admit(request, "order").user
        return success({"order_id": self._desk.cancel(user, request.match_info["order_id"])})

    async def positions(self, request: web.Request) -> web.StreamResponse:
        """Give the positions, in both views."""
        user = self._rest.admit(request, "other").user
        return success(shown.positions(self._desk.book(user), self._desk.floor.last_price))

    async def convert(self, request: web.Request) -> web.StreamResponse:
        """Put a part of a position under another product."""
        user = self._rest.admit(request, "other").user
        self._desk.convert(user, {name: str(value) for name, value in (await request.post()).items()})
        return success(True)

    async def holdings(self, request: web.Request) -> web.StreamResponse:
        """Give the shares in the depository."""
        user = self._rest.admit(request, "other").user
        return success(shown.holdings(self._desk.book(user), self._desk.floor.last_price))

    async def charges(self, request: web.Request) -> web.StreamResponse:
        """Give what each of these orders would cost."""
        self._rest.admit(request, "other")
        try:
            asked = msgspec.json.decode(await request.read(), type=list[Asked])
        except msgspec.DecodeError as error:
            raise input_refused(f"Wanted a list of orders: {error}") from error
        return success([shown.virtual_note(each, charges.virtual_note(each, self._desk.day)) for each in asked])

    async def margins(self, request: web.Request) -> web.StreamResponse:
        """Give the funds of one segment or of both."""
        user = self._rest.admit(request, "other").user
        book, segment = self._desk.book(user), request.match_info.get("segment")
        if segment not in (None, *SEGMENTS):
            raise Refusal(404, "GeneralException", "Route not found")
        funds = margin.segments(book, self._desk.floor.last_price)
        found = {name: shown.margins(each) for name, each in zip(SEGMENTS, funds, strict=True)}
        return success(found[segment] if segment else found)
