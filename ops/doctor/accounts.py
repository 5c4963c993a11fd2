"""The trading accounts: whether their brokers let us in, and whether what is known of them is new."""

from collections.abc import Iterator

from ops.doctor.finding import Finding, good, note, wrong
from ops.facts.accounts import AccountFacts
from ops.facts.gather import Facts

FAILURES_MANY = 3  # one is a broker's hiccup; three in a row are not over by themselves
NAMED_MAX = 20  # accounts that are named; hundreds may share one cause


def accounts(facts: Facts) -> Iterator[Finding]:
    """Look at each account that is pulled."""
    active = [each for each in facts.accounts if each.active]
    found = [finding for each in active if (finding := _finding(facts, each))]
    yield from found[:NAMED_MAX]
    if len(found) > NAMED_MAX:
        rest = f"{len(found) - NAMED_MAX} more accounts are not well"
        yield Finding("account", found[NAMED_MAX].state, rest, "GET /accounts has all of them")
    if active and not found:
        yield good("account", f"{len(active)} accounts, each known as it was asked for")


def reconciled(facts: Facts) -> Iterator[Finding]:
    """Look at what books and brokers do not agree on."""
    by_account: dict[str, list[str]] = {}
    for each in facts.database.facts.divergences if facts.database.facts else []:
        by_account.setdefault(each.account_id, []).append(f"{each.divergences} of {each.type}")
    for account, types in list(by_account.items())[:NAMED_MAX]:
        remedy = f"GET /accounts/{account}/reconciliation says what, docs/reconciliation.md what to do"
        yield wrong("books", f"{account}: its books and its broker do not agree on {', '.join(types)}", remedy)
    if len(by_account) > NAMED_MAX:
        rest = f"the books of {len(by_account) - NAMED_MAX} more accounts and their brokers do not agree"
        yield wrong("books", rest, "the table divergences has all of them")
    if not by_account and any(each.active for each in facts.accounts):
        yield good("books", "they agree with what the brokers say of every account")


def _finding(facts: Facts, account: AccountFacts) -> Finding | None:
    name = account.account_id
    if account.status == "refused":
        remedy = account.remedy or "log in"
        return wrong("account", f"{name}: its token is refused, nothing new comes: {account.error}", remedy)
    if account.failures >= FAILURES_MANY:
        found = f"{name}: {account.failures} runs in a row did not bring everything; the last was {account.status}"
        return wrong(
            "account", f"{found}: {account.error}", "read what bahi sync says; docs/accounts.md has each cause"
        )
    if account.status is None:
        return note("account", f"{name} was not pulled yet", "" if facts.runs("sync") else "bahi up, or bahi sync")
    if account.stale and account.age_seconds is not None:
        found = f"{name}: what is known is {account.age_seconds / 60:,.0f} minutes old"
        if facts.runs("sync"):
            return wrong("account", f"{found}, though bahi sync runs", "read what bahi sync says; bahi status: its lag")
        return note("account", f"{found}: bahi sync does not run", "bahi up, or bahi sync")
    return None
