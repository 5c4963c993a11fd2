"""The two servers."""

from collections.abc import Iterator

from ops.doctor.finding import Finding, good, note, wrong
from ops.facts.gather import Facts
from sql.migrate import SERVER_MIN

REDIS_MIN = (6, 2)
MEMORY_SHARE_MAX = 0.8  # above it, a few minutes with a dead archiver fill the rest
MIB = 1024 * 1024
POSTGRES_REMEDY = "start it, mend DATABASE_URL, or let its user own the database"
NOT_KNOWN = "no setting names one, and no bahi up runs on this data directory"


def postgres(facts: Facts) -> Iterator[Finding]:
    """Look at the tables' server and its migrations."""
    server = facts.database
    if not server.known:
        yield note("PostgreSQL", NOT_KNOWN, "bahi up starts one, or set DATABASE_URL")
        return
    found = server.facts
    if found is None:
        yield wrong("PostgreSQL", f"it does not answer: {server.trouble}", POSTGRES_REMEDY)
        return
    if found.version < SERVER_MIN * 10_000:
        yield wrong("PostgreSQL", f"version {found.version // 10_000}", f"use PostgreSQL {SERVER_MIN} or later")
    if found.migrated != found.wanted:
        has = "no tables yet" if found.migrated is None else f"tables at version {found.migrated}"
        newer = found.migrated is not None and found.migrated > found.wanted
        remedy = "update Bahi: a newer one was here" if newer else "bahi migrate"
        yield wrong("migrations", f"{has}, this Bahi has {found.wanted}", remedy)
    else:
        said = f"{found.version // 10_000}.{found.version % 10_000}, {found.flavour}, {found.bytes // MIB} MiB"
        yield good("PostgreSQL", f"{said}, tables at version {found.wanted}")


def redis(facts: Facts) -> Iterator[Finding]:
    """Look at the log's server: it must keep all that it is given."""
    server = facts.redis
    if not server.known:
        yield note("Redis", NOT_KNOWN, "bahi up starts one, or set REDIS_URL")
        return
    found = server.facts
    if found is None:
        remedy = "start it, or mend REDIS_URL; ticks are spooled meanwhile"
        yield wrong("Redis", f"it does not answer: {server.trouble}", remedy)
        return
    before = [finding for finding in (_version(facts), _policy(facts), _memory(facts)) if finding]
    yield from before
    if not found.keeps_file:
        yield note(
            "Redis", "it keeps no append-only file: after a restart it is filled again", "CONFIG SET appendonly yes"
        )
    if not before:
        yield good("Redis", f"{found.software} {found.version}, {found.policy}, {found.memory_bytes // MIB} MiB used")


def _version(facts: Facts) -> Finding | None:
    assert facts.redis.facts
    text = facts.redis.facts.version
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    return wrong("Redis", f"version {text}", "use Redis or Valkey 6.2 or later") if numbers < REDIS_MIN else None


def _policy(facts: Facts) -> Finding | None:
    assert facts.redis.facts
    policy = facts.redis.facts.policy
    if policy == "noeviction":
        return None
    found = f"maxmemory-policy is {policy}: events could be dropped that nobody archived"
    return wrong("Redis", found, "CONFIG SET maxmemory-policy noeviction, and in redis.conf")


def _memory(facts: Facts) -> Finding | None:
    found = facts.redis.facts
    assert found
    if not found.memory_bytes_max or found.memory_bytes < MEMORY_SHARE_MAX * found.memory_bytes_max:
        return None
    used = f"{found.memory_bytes // MIB} of {found.memory_bytes_max // MIB} MiB are used: at the limit appends wait"
    return wrong("Redis", used, "see that bahi archive runs; lower TRIM_WINDOW_BYTES, or raise maxmemory")
