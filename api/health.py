"""Whether the API lives, whether it can serve, and its metrics."""

import asyncio
from pathlib import Path

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from api.live import Live
from api.requests import Requests
from api.tables import Tables
from runtime import metrics
from runtime.errors import Unreachable
from sql.migrate import migrations

METRICS_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(msgspec.Struct):
    """It answers, so it lives."""

    status: str = "ok"


class Readiness(msgspec.Struct):
    """Whether everything is there; else what is missing, with what to do."""

    ready: bool
    missing: list[str]


class Version(msgspec.Struct):
    """The number of the last migration that ran."""

    number: int


@get("/health", summary="Alive", tags=["operation"])
async def health() -> Health:
    """Say that the process answers."""
    return Health()


@get("/ready", summary="Able to serve", tags=["operation"])
async def ready(
    tables: NamedDependency[Tables], live: NamedDependency[Live], requests: NamedDependency[Requests]
) -> Response[Readiness]:
    """Say whether all can be served, with 503 and what is missing where not."""
    missing = []
    if live.unreadable:
        missing.append(f"Redis: {live.unreadable}")
    database = await _database_missing(tables)
    if database:
        missing.append(database)
    if requests.shut:
        missing.append(f"requests: {requests.shut}")
    return Response(Readiness(not missing, missing), status_code=503 if missing else 200)


async def _database_missing(tables: Tables) -> str | None:
    wanted = max(each.number for each in migrations("plain"))
    try:
        found = (await tables.rows("last_migration", {}, Version))[0].number
    except Unreachable as error:
        return f"PostgreSQL: wanted {error.wanted}; found {error.found}; {error.remedy}"
    if found < wanted:
        return f"migrations: wanted version {wanted}; found {found}; run bahi migrate"
    return None


@get("/metrics", summary="Prometheus metrics of all processes", tags=["operation"], media_type=MediaType.TEXT)
async def read_metrics(data_dir: NamedDependency[Path]) -> Response[str]:
    """Give the metrics of all living processes of this data directory."""
    text = await asyncio.to_thread(metrics.collect, data_dir)
    return Response(text, media_type=METRICS_MEDIA_TYPE)
