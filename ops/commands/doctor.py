"""`bahi doctor`."""

import rich_click as click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
def command(as_json: bool) -> int:
    """Say what is wrong here, each with what mends it. Exit 1 if anything is. It changes nothing."""
    import asyncio

    import msgspec

    from ops.doctor import shown
    from ops.doctor.examine import examine, is_well
    from ops.doctor.finding import wrong
    from runtime import settings
    from runtime.errors import SettingError

    try:
        findings = asyncio.run(examine(settings.load()))
    except SettingError as error:
        findings = [wrong("settings", f"wanted {error.wanted}; found {error.found}", error.remedy)]
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    else:
        shown.show(findings)
    return 0 if is_well(findings) else 1
