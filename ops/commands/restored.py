"""`bahi restored`."""

import rich_click as click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one JSON object.")
def command(as_json: bool) -> int:
    """Say that PostgreSQL was restored from a backup: shut out all who wrote to it before, and see what is behind.

    Exit 1 if something is behind that the log does not have. It changes no rows; what is behind, projectors bring.
    """
    import msgspec

    from ops import restored
    from ops.embedded.discover import servers_for
    from ops.restored import Report
    from runtime import lifecycle, settings
    from runtime.lifecycle import Stop

    found: list[Report] = []
    with servers_for(settings.load(), "restored") as ready:

        async def work(stop: Stop) -> None:
            found.append(await restored.run(ready, stop))

        code = lifecycle.run("restored", work)
    if not found:
        return code
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found[0]), indent=2).decode())
    else:
        print(restored.shown(found[0]))
    return lifecycle.EXIT_OK if found[0].ok else lifecycle.EXIT_FAILED
