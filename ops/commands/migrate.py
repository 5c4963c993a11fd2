"""`bahi migrate`."""

import rich_click as click


@click.command()
def command() -> int:
    """Bring the database up to date, and say what it found: TimescaleDB or plain PostgreSQL."""
    from ops.embedded.discover import DATABASE, connect_settings
    from runtime import lifecycle, settings
    from runtime.lifecycle import Stop
    from sql import migrate

    database_url = connect_settings(settings.load(), DATABASE).database_url
    assert database_url is not None, "connect_settings gives what it was asked for"

    async def work(_stop: Stop) -> None:
        report = await migrate.run(database_url)
        applied = ", ".join(report.applied) or "nothing, it was up to date"
        kind = f"TimescaleDB {report.timescale}" if report.timescale else "plain"
        print(f"{report.server}, {kind}; tables at version {report.version}; applied: {applied}", flush=True)

    return lifecycle.run("migrate", work)
