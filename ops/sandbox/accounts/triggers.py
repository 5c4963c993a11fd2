"""All GTTs: takes them, keeps them over night, and places their orders when the market meets their prices."""

import time
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal

import msgspec

from ops.sandbox.accounts import gtt
from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.gtt import Leg, Trigger
from ops.sandbox.accounts.ledger import Kept
from ops.sandbox.envelope import Refusal, input_refused
from ops.sandbox.stage import Stage
from ops.sandbox.wire import Ints

KEPT_NS = 365 * 86_400 * 10**9  # Kite keeps a GTT for a year
SECOND_NS = 10**9
FIRST_SECOND = 1_577_836_800  # 2020 began; ids count from there, so that one that ended is not given again
ACTIVE_MAX = 250  # of one user; Kite's limit


class Triggers:
    """The GTTs of all users; a watcher of the market."""

    def __init__(self, desk: Desk, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Take up those that the books keep."""
        self._desk, self._now_ns = desk, now_ns
        self._waiting: dict[int, dict[int, str]] = {}  # place -> trigger_id -> user
        self._last_id = 0
        self._take_up()

    def follow(self, _stage: Stage, /) -> None:
        """Go over to another stage; the desk has gone there before."""
        self._take_up()

    def tick(self, which: Ints) -> None:
        """Place the orders of the GTTs that these instruments' prices meet."""
        with self._desk.together():
            for place in self._waiting.keys() & set(which.tolist()):
                token = self._desk.floor.instruments[place].instrument_token
                last_price = self._desk.floor.last_price(token)
                for trigger_id, user in list(self._waiting[place].items()):
                    self._look(user, self.find(user, trigger_id), last_price)

    def awaited(self) -> Collection[int]:
        """Give the places of the instruments whose price somebody waits for."""
        return self._waiting.keys()

    def all(self, user: str) -> list[Trigger]:
        """Give a user's GTTs of today, and those that still wait."""
        return list(self._desk.book(user).triggers.values())

    def find(self, user: str, trigger_id: int) -> Trigger:
        """Give one. Raises Refusal for an unknown one."""
        found = self._desk.book(user).triggers.get(trigger_id)
        if found is None:
            raise Refusal(404, "GeneralException", "Trigger not found.")
        return found

    def place(self, user: str, form: Mapping[str, str]) -> int:
        """Keep a new GTT; give its id. Raises Refusal."""
        if sum(each.is_active for each in self.all(user)) >= ACTIVE_MAX:
            raise input_refused(f"Maximum allowed active GTTs exceeded: {ACTIVE_MAX}.")
        trigger_id = max(self._last_id + 1, self._now_ns() // SECOND_NS - FIRST_SECOND)
        self._keep(user, self._read(form, trigger_id, None))
        self._last_id = trigger_id
        return trigger_id

    def modify(self, user: str, trigger_id: int, form: Mapping[str, str]) -> int:
        """Change one that waits. Raises Refusal."""
        self._keep(user, self._read(form, trigger_id, self._active(user, trigger_id)))
        return trigger_id

    def delete(self, user: str, trigger_id: int) -> int:
        """End one that waits. Raises Refusal."""
        trigger = self._active(user, trigger_id)
        self._keep(user, msgspec.structs.replace(trigger, status=gtt.DELETED, updated_ns=self._now_ns()))
        return trigger_id

    def _active(self, user: str, trigger_id: int) -> Trigger:
        trigger = self.find(user, trigger_id)
        if not trigger.is_active:
            raise input_refused(f"Trigger is {trigger.status}.")
        return trigger

    def _read(self, form: Mapping[str, str], trigger_id: int, before: Trigger | None) -> Trigger:
        asked, legs, now_ns = gtt.condition(form), gtt.legs(form), self._now_ns()
        instrument = self._desk.floor.listed.get(f"{asked.exchange}:{asked.tradingsymbol}")
        if instrument is None or instrument.is_index:
            raise input_refused("The instrument has either expired or does not exist.")
        last_price = self._desk.floor.last_price(instrument.instrument_token)
        return Trigger(
            trigger_id,
            form["type"],
            asked.exchange,
            asked.tradingsymbol,
            instrument.instrument_token,
            last_price,
            gtt.values(asked.trigger_values, form["type"], last_price, instrument),
            legs,
            before.created_ns if before else now_ns,
            now_ns,
            before.expires_ns if before else now_ns + KEPT_NS,
        )

    def _look(self, user: str, trigger: Trigger, last_price: Decimal) -> None:
        """Place the order of the price that is met."""
        now_ns = self._now_ns()
        if now_ns >= trigger.expires_ns:
            self._keep(user, msgspec.structs.replace(trigger, status=gtt.EXPIRED, updated_ns=now_ns))
            return
        met = trigger.met_by(last_price) if last_price > 0 else None
        if met is None:
            return
        legs = list(trigger.legs)
        legs[met] = self._order(user, trigger, legs[met], last_price)
        self._keep(user, msgspec.structs.replace(trigger, legs=legs, status=gtt.TRIGGERED, updated_ns=now_ns))

    def _order(self, user: str, trigger: Trigger, leg: Leg, last_price: Decimal) -> Leg:
        form = {
            "exchange": trigger.exchange,
            "tradingsymbol": trigger.tradingsymbol,
            "transaction_type": leg.transaction_type,
            "quantity": str(leg.quantity),
            "product": leg.product,
            "order_type": leg.order_type,
            "price": str(leg.price),
        }
        order_id = problem = ""
        try:
            order_id = self._desk.place(user, "regular", form)
            problem = self._desk.order(user, order_id).message
        except Refusal as refusal:
            problem = refusal.message
        met = {"met": last_price, "met_ns": self._now_ns()}
        return msgspec.structs.replace(leg, order_id=order_id, problem=problem, **met)

    def _keep(self, user: str, trigger: Trigger) -> None:
        with self._desk.together():
            self._desk.register.write(Kept(user, self._now_ns(), trigger))
        self._watch(user, trigger)

    def _take_up(self) -> None:
        self._waiting = {}
        for user, book in self._desk.books().items():
            for trigger in book.triggers.values():
                self._last_id = max(self._last_id, trigger.trigger_id)
                self._watch(user, trigger)

    def _watch(self, user: str, trigger: Trigger) -> None:
        place = self._desk.floor.places.get(trigger.instrument_token, -1)
        waiting = self._waiting.setdefault(place, {})
        if trigger.is_active:
            waiting[trigger.trigger_id] = user
        else:
            waiting.pop(trigger.trigger_id, None)
        if not waiting:
            del self._waiting[place]
