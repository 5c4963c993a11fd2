"""The sandbox's own endpoints about accounts, for people and tests on the same machine."""

import asyncio
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec
from aiohttp import web

from ops.sandbox.accounts import exact, ledger
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.postback import Postbacks, Target
from ops.sandbox.control import local
from ops.sandbox.envelope import input_refused, success
from ops.sandbox.traders import Traders, Wish


class Inspection:
    """Answers below /sandbox, to loopback peers only."""

    def __init__(self, desk: Desk, traders: Traders, postbacks: Postbacks, folder: Path) -> None:
        """folder: of the ledgers."""
        self._desk, self._traders, self._postbacks, self._folder = desk, traders, postbacks, folder

    def routes(self) -> list[web.RouteDef]:
        """Give all of them."""
        return [
            web.get("/sandbox/books", self.books),
            web.get("/sandbox/traders", self.traders),
            web.post("/sandbox/traders", self.change_traders),
            web.get("/sandbox/postback", self.postback),
            web.post("/sandbox/postback", self.aim_postback),
        ]

    async def books(self, request: web.Request) -> web.StreamResponse:
        """Give books with exact decimals: ?user_id= of one user, ?day= of an earlier day."""
        local(request)
        user, day = request.query.get("user_id"), self._day(request.query.get("day"))
        if day == self._desk.day:
            books: Mapping[str, Book] = self._desk.books()
            last_price = self._desk.floor.last_price
        else:
            books, last_price = await asyncio.to_thread(_of_day, self._folder, day), None
        chosen = [book for name, book in books.items() if user in (None, name)]
        shown = []
        for book in chosen:
            shown.append(exact.book(book, last_price))
            await asyncio.sleep(0)  # each is whole by itself; the market goes on between
        return success(shown)

    async def traders(self, request: web.Request) -> web.StreamResponse:
        """Show the seeded traders."""
        local(request)
        return success(self._traders.shown())

    async def change_traders(self, request: web.Request) -> web.StreamResponse:
        """Have other seeded traders, or faster ones, as the JSON body asks."""
        local(request)
        try:
            wish = msgspec.json.decode(await request.read(), type=Wish)
        except msgspec.DecodeError as error:
            raise input_refused(f"Wanted orders_per_second and users, as in docs/sandbox.md; found: {error}") from error
        self._traders.wish(wish)
        return success(self._traders.shown())

    async def postback(self, request: web.Request) -> web.StreamResponse:
        """Show where postbacks go, and what became of them."""
        local(request)
        return success(self._postbacks.state())

    async def aim_postback(self, request: web.Request) -> web.StreamResponse:
        """Have an app's postbacks sent where the JSON body says."""
        local(request)
        try:
            target = msgspec.json.decode(await request.read(), type=Target)
        except msgspec.DecodeError as error:
            raise input_refused(f"Wanted a url, as in docs/sandbox.md; found: {error}") from error
        self._postbacks.aim(target)
        return success(self._postbacks.state())

    def _day(self, text: str | None) -> date:
        """Read a day that has books. Raises Refusal."""
        if text is None:
            return self._desk.day
        known = [day.isoformat() for day in ledger.days(self._folder)]
        if text not in known:
            raise input_refused(f"Wanted a `day` with books: {', '.join(known)}; found {text}")
        return date.fromisoformat(text)


def _of_day(folder: Path, day: date) -> dict[str, Book]:
    """Read the books of a day that is over, as it ended."""
    books: dict[str, Book] = {}
    for entry in ledger.read(folder, day):
        books.setdefault(entry.user, Book(entry.user)).apply(entry)
    return books
