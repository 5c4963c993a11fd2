"""Attributes what a batch has touched, or all of the past where the rules are others now; writes only what differs."""

from collections.abc import Mapping, Sequence
from typing import Any

from projectors.accounts.attribution import Attribution, Rule, Rules, Told, with_drafts
from projectors.accounts.parameters import text
from projectors.accounts.touched import Line, Touched
from sql.store import Rows

Row = Mapping[str, Any]


class Attributing:
    """The rules of one transaction, applied to its tables."""

    def __init__(self, rows: Rows, touched: Touched, rules: Sequence[Rule]) -> None:
        """Take the rules that count now, and the drafts beside them."""
        self._rows, self._touched = rows, touched
        self._applied = Rules(rule for rule in rules if not rule.draft)
        self.has_drafts = any(rule.draft for rule in rules)
        self._drafted = Rules(with_drafts(rules)) if self.has_drafts else None

    @classmethod
    async def begin(cls, rows: Rows, touched: Touched) -> "Attributing":
        """Read the rules."""
        return cls(rows, touched, [Rule(**row) for row in await rows.run("read_rules")])

    async def run(self) -> None:
        """Attribute orders and trades, and note the lines that are folded otherwise by it."""
        touched = self._touched
        if touched.rules:
            accounts = [row["account_id"] for row in await self._rows.run("all_accounts")]
            (draft_books,) = await self._rows.run("has_draft_books")
            if self.has_drafts or draft_books["found"]:
                for account in accounts:
                    await self._refold(account)
        else:
            accounts = sorted(touched.orders.keys() | touched.openings)
        for account in accounts:
            await self._orders(account)
            await self._trades(account)
            if touched.rules or account in touched.openings:
                await self._openings(account)

    async def _refold(self, account: str) -> None:
        for row in await self._rows.run("lines_of_account", {"account": account}):
            self._touched.line(account, Line.of(row))

    async def _told(self, table: str, account: str) -> list[dict[str, Any]]:
        """Give what is to be attributed of an account."""
        if self._touched.rules:
            return await self._rows.run(
                "all_told_orders" if table == "orders" else "all_told_trades", {"account": account}
            )
        wanted = {"account": account, "order_ids": sorted(self._touched.orders.get(account, ()))}
        return await self._rows.run("told_orders" if table == "orders" else "told_trades", wanted)

    async def _orders(self, account: str) -> None:
        changed = []
        for row in await self._told("orders", account):
            found = self._applied.attribute(_about(account, row, trade_id=""))
            if found != (row["strategy_id"], row["strategy_reason"]):
                changed.append({"day": row["day"], "order_id": row["order_id"], **_columns(found)})
        if changed:
            await self._rows.run("attribute_orders", {"account": account, "rows": text(changed)})

    async def _trades(self, account: str) -> None:
        changed = []
        for row in await self._told("trades", account):
            told = _about(account, row, trade_id=row["trade_id"])
            found = self._applied.attribute(told)
            draft = self._drafted.attribute(told).strategy if self._drafted else None
            if (*found, draft) == (row["strategy_id"], row["strategy_reason"], row["draft_strategy_id"]):
                continue
            key = {name: row[name] for name in ("day", "exchange", "order_id", "trade_id")}
            changed.append({**key, **_columns(found), "draft_strategy_id": draft})
            if row["fold"] and (found.strategy, draft) != (row["strategy_id"], row["draft_strategy_id"]):
                self._touched.line(account, Line.of(row))
        if changed:
            await self._rows.run("attribute_trades", {"account": account, "rows": text(changed)})

    async def _openings(self, account: str) -> None:
        """Attribute what was there before the first fill: only a rule about its symbol can say whose it is."""
        changed = []
        for row in await self._rows.run("read_openings", {"account": account}):
            line = Line.of(row)
            about = Told(account, row["day"], line.exchange, line.tradingsymbol, "", "", ())
            found = self._applied.attribute(about)
            if found.strategy != row["strategy_id"]:
                changed.append({**line._asdict(), "strategy_id": found.strategy})
                self._touched.line(account, line)
        if changed:
            await self._rows.run("attribute_openings", {"account": account, "rows": text(changed)})

    def draft_of_opening(self, account: str, row: Row) -> str | None:
        """Give whose an opening lot would be by the drafts."""
        assert self._drafted is not None, "asked for only where there are drafts"
        about = Told(account, row["day"], row["exchange"], row["tradingsymbol"], "", "", ())
        return self._drafted.attribute(about).strategy


def _about(account: str, row: Row, trade_id: str) -> Told:
    named = (row["exchange"], row["tradingsymbol"], row["order_id"], trade_id, row["tags"])
    return Told(account, row["order_day"] or row["day"], *named, trade_day=row["day"])


def _columns(found: Attribution) -> dict[str, str | None]:
    return {"strategy_id": found.strategy, "strategy_reason": found.reason}
