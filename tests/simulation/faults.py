"""What goes wrong: which kinds a seed draws, how often, and each single one by its number, so that it can be left out.

Each kind counts its own occasions and has a random source of its own. So a fault has a name that stays the same from
run to run, `(kind, occasion)`, and to leave one out moves no other before it: this is what a shrinker needs.
"""

import random
from collections import Counter
from collections.abc import Callable

import msgspec

# What one occasion's chance is, before the seed's own factor. The first group meets each step or call, of which a run
# has some thousands; the second is asked several times in a second of simulated time.
AT_STEPS = {
    "kill": 0.002,  # a process dies between two steps
    "power": 0.0007,  # all processes of the host die, and its disk loses what was not synced
    "relapse": 0.004,  # a kill at a step of the disk, and a power cut of its host when the process is up again
    "lost request": 0.01,
    "lost reply": 0.015,
    "late request": 0.008,  # the caller is told of no answer, and the server carries it out later
    "doubled request": 0.008,  # carried out now, and again later
    "slow": 0.01,  # an answer takes seconds
}
AT_TIMES = {
    "freeze": 0.03,
    "redis tail": 0.03,
    "redis empty": 0.012,
    "redis down": 0.02,
    "redis full": 0.02,  # noeviction: every append is refused
    "tables down": 0.03,
    "archive down": 0.03,
    "clock": 0.03,
    "disk full": 0.02,
    "give up": 0.05,  # a caller stops waiting for its append
    "stop": 0.03,  # a process is asked to end, and ends as it should
}
# What a history meets once at most, and never together with a Redis that forgot, which is not promised.
APART = {
    "spool lost": 0.03,
    "spool short": 0.03,
    "spool rotten": 0.03,
    "second writer": 0.1,
    "segment rotten": 0.06,
    "segment short": 0.06,
    "segment missing": 0.06,
}
APART_SHARE = 0.3  # of all seeds
REDIS_FORGETS = frozenset({"redis tail", "redis empty"})
# What is drawn beside the rest, whatever that is, and in what share of all seeds.
BESIDE = {"rebuild": (0.08, 0.15), "backup": (0.06, 0.06), "watch": (0.0, 0.1)}  # who watches, strikes nobody
WATCHED = ("freeze", "redis tail")  # drawn where somebody watches: what makes a projector stand still, or be ahead
# What is not promised: two disasters in one moment. RESIDUAL=1 draws one of these in each history, counted apart.
RESIDUAL = (
    ("spool lost", "redis tail"),
    ("spool short", "redis tail"),
    ("spool lost", "redis empty"),
    ("second writer", "redis tail"),
    ("second writer", "redis empty"),
    ("backup", "spool lost", "redis tail"),
)
KINDS = (*AT_STEPS, *AT_TIMES)
CHANCE_MAX = 0.3
FEW_KINDS = 3
KINDS_DRAWN = (1, 2, 3, 5, 8, len(KINDS))
FACTORS = (0.3, 1.0, 3.0)
AT_DISK = 5  # a step of the disk is worth as many others: few are taken, and each leaves something half done
TROUBLE = 12  # a fault seldom comes alone: for a while after one all are likelier by this
TROUBLE_SECONDS = 2.5
# What belongs together is drawn together half of the time; else kinds are drawn as they come.
THEMES = (
    ("kill", "power"),
    ("relapse",),
    ("kill", "power", "disk full"),
    ("kill", "redis tail", "redis empty", "late request", "doubled request"),
    ("kill", "redis empty", "archive down", "lost reply", "doubled request"),
    ("freeze", "stop", "tables down", "late request", "lost reply", "clock"),
)


class Plan(msgspec.Struct, frozen=True):
    """A run's own choices.

    without: kinds left out. muted: single faults left out. batches: at most so many sent. residual: also what is not
    promised.
    """

    seed: int
    without: frozenset[str] = frozenset()
    muted: frozenset[tuple[str, int]] = frozenset()
    batches: int = 1 << 30
    residual: bool = False


class Faults:
    """The dice of one run."""

    def __init__(self, plan: Plan, now: Callable[[], float]) -> None:
        self._now = now
        dice = random.Random(f"faults {plan.seed}")
        drawn = dice.choice(THEMES) if dice.random() < 0.5 else dice.sample(KINDS, dice.choice(KINDS_DRAWN))
        apart = random.Random(f"apart {plan.seed}")
        if apart.random() < APART_SHARE:
            drawn = [*(kind for kind in drawn if kind not in REDIS_FORGETS), apart.choice(list(APART))]
        if plan.residual:
            drawn = [*drawn, *apart.choice(RESIDUAL)]
        drawn = [*drawn, *(kind for kind, (_, share) in BESIDE.items() if apart.random() < share)]
        if "watch" in drawn:
            drawn = [*drawn, *(kind for kind in WATCHED if kind not in REDIS_FORGETS or not set(drawn) & APART.keys())]
        factor = dice.choice(FACTORS)
        self.kinds = frozenset(kind for kind in drawn if kind not in plan.without)
        chances = {**AT_STEPS, **AT_TIMES, **APART, **{kind: chance for kind, (chance, _) in BESIDE.items()}}
        # Few kinds come more often, so that the rare ones are seen alone as well.
        more = factor * (3 if len(drawn) <= FEW_KINDS else 1)
        self._chance = {kind: chances[kind] * more for kind in self.kinds}
        self._dice = {kind: random.Random(f"{kind} {plan.seed}") for kind in self.kinds}
        self._occasions: Counter[str] = Counter()
        self._muted = plan.muted
        self._trouble = dice.choice((1, TROUBLE))
        self._troubled_until = 0.0
        self.happened: list[tuple[str, int]] = []
        self.over = False

    def happens(self, kind: str, weight: float = 1.0) -> bool:
        """Say whether a fault of this kind happens on this occasion."""
        if self.over or kind not in self._chance:
            return False
        occasion = self._occasions[kind]
        self._occasions[kind] += 1
        chance = self._chance[kind] * weight
        if self._now() < self._troubled_until:
            chance *= self._trouble
        if self._dice[kind].random() >= min(chance, CHANCE_MAX) or (kind, occasion) in self._muted:
            return False
        self.happened.append((kind, occasion))
        self._troubled_until = self._now() + TROUBLE_SECONDS * self._dice[kind].choice((0, 1))
        return True
