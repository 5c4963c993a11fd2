"""`bahi verify`."""

import rich_click as click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the whole account as one JSON object.")
@click.option("--full", is_flag=True, help="Make every candle again, not those of a sample of instruments.")
def command(as_json: bool, full: bool) -> int:
    """Account for every event: sent, received, logged, in the tables. Exit 1 if anything is lost, doubled or different.

    It may run while everything works, and when all is stopped: then it starts the embedded servers for the time.
    """
    import msgspec

    from ops.embedded.discover import servers_for
    from ops.verify import audit, shown
    from ops.verify.report import Report
    from runtime import lifecycle, settings
    from runtime.lifecycle import Stop

    found: list[Report] = []
    with servers_for(settings.load(), "verify") as ready:

        async def work(_stop: Stop) -> None:
            found.append(await audit.run(ready, full=full))

        code = lifecycle.run("verify", work)
    if not found:
        return code
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found[0]), indent=2).decode())
    else:
        shown.show(found[0], shown.console())
    return 0 if found[0].ok else 1
