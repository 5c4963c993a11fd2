"""What is told of what is wrong, and when: each subject once until it heals, all that is due in one letter. Pure.

    unknown --wrong, market hours--> told --well for so long--> healed (told once, then unknown)
                                      '-- still wrong, market hours, so long after --> told again

Promise: never two messages of one subject without its healing, or the repeat time, between them; never two letters
within `Terms.apart`, however many subjects there are. What heals before it was told is not told at all.
"""

from collections.abc import Sequence

import msgspec

from producers.alerts.seen import Moment, Seen, Terms, Trouble, ist, troubles
from runtime.clock import NS_PER_SECOND

ITEMS_MAX = 20  # of a letter: hundreds of accounts may share one cause, and a telephone shows no more


class Raised(msgspec.Struct):
    """A subject that is wrong, since when, and how it is called.

    told_ns: when it was told last, 0 if not yet. well_ns: since when it is well, 0 if it is not.
    """

    since_ns: int
    title: str
    told_ns: int = 0
    well_ns: int = 0


class Book(msgspec.Struct):
    """What was told. mark: of this outbox, in each letter's id. letters: how many there were. letter_ns: the last."""

    mark: str = ""
    letters: int = 0
    letter_ns: int = 0
    raised: dict[str, Raised] = {}


class Letter(msgspec.Struct):
    """One message. id: the same whenever it is sent. number: dense from 1. good: it tells of nothing but healing.

    subjects: what it tells of. waiting: the places that have not got it yet.
    """

    id: str
    number: int
    made_ns: int
    title: str
    text: str
    good: bool
    subjects: list[tuple[str, bool]] = []
    waiting: list[str] = []


class _Item(msgspec.Struct, frozen=True):
    subject: str
    title: str
    text: str
    good: bool


def decide(seen: Seen, book: Book, moment: Moment, terms: Terms) -> Letter | None:
    """Give the letter that is due now, noting in the book what it tells; None where there is nothing to tell."""
    found = troubles(seen, moment, terms)
    _note(seen, book, found, moment.now_ns)
    if _within(moment.now_ns, book.letter_ns, terms.apart):
        return None
    items = [item for subject in _in_order(book) if (item := _due(subject, book, found.get(subject), moment, terms))]
    if not items:
        return None
    for item in items:
        if item.good:
            del book.raised[item.subject]
        else:
            book.raised[item.subject].told_ns = moment.now_ns
    book.letters += 1
    book.letter_ns = moment.now_ns
    return _letter(f"{book.mark}-{book.letters}", book.letters, moment.now_ns, items)


def _note(seen: Seen, book: Book, found: dict[str, Trouble | None], now_ns: int) -> None:
    """Bring the book to what is found: new troubles, and those that are over."""
    for subject in [each for each in book.raised if not seen.holds(each)]:
        del book.raised[subject]
    for subject, trouble in found.items():
        raised = book.raised.get(subject)
        if trouble is not None:
            if raised is None:
                raised = book.raised[subject] = Raised(trouble.since_ns, trouble.title)
            raised.title, raised.well_ns = trouble.title, 0
        elif raised is not None and not raised.told_ns:
            del book.raised[subject]
        elif raised is not None:
            raised.well_ns = raised.well_ns or now_ns


def _in_order(book: Book) -> Sequence[str]:
    return sorted(book.raised, key=lambda subject: (book.raised[subject].since_ns, subject))


def _due(subject: str, book: Book, trouble: Trouble | None, moment: Moment, terms: Terms) -> _Item | None:
    raised = book.raised[subject]
    if raised.well_ns:
        if _within(moment.now_ns, raised.well_ns, terms.healed):
            return None
        text = f"Well again since {ist(raised.well_ns)}; it was so since {ist(raised.since_ns)}."
        return _Item(subject, f"well again: {raised.title}", text, good=True)
    if trouble is None or not moment.open or _within(moment.now_ns, raised.told_ns, terms.repeat):
        return None
    text = f"Since {ist(raised.since_ns)}. {trouble.text}\nDo: {trouble.remedy}"
    return _Item(subject, trouble.title, text, good=False)


def _within(now_ns: int, since_ns: int, seconds: float) -> bool:
    """Say whether less than `seconds` went by; a clock that was set back has gone far enough."""
    return bool(since_ns) and 0 <= now_ns - since_ns < seconds * NS_PER_SECOND


def _letter(letter_id: str, number: int, made_ns: int, items: Sequence[_Item]) -> Letter:
    wrong = [item for item in items if not item.good]
    title = (wrong or list(items))[0].title
    if len(items) > 1:
        title += f" (and {len(items) - 1} more)"
    parts = [f"{item.title}\n{item.text}" for item in items[:ITEMS_MAX]]
    if len(items) > ITEMS_MAX:
        parts.append(f"And {len(items) - ITEMS_MAX} more: bahi status")
    parts.append(f"(message {letter_id})")
    return Letter(
        id=letter_id,
        number=number,
        made_ns=made_ns,
        title=f"Bahi: {title}",
        text="\n\n".join(parts),
        good=not wrong,
        subjects=[(item.subject, item.good) for item in items],
    )
