"""`bahi login`."""

import rich_click as click


@click.command()
@click.argument("broker")
@click.argument("account", required=False)
@click.option("--token", help="Keep this access token; - reads it from standard input, out of the shell's history.")
def command(broker: str, account: str | None, token: str | None) -> int:
    """Log in to BROKER (sandbox, kite), or keep an access token of it; for one ACCOUNT of several, name it.

    The token goes into the vault; whatever runs takes it within a second.
    """
    import sys

    from ops import login
    from runtime import settings

    def ask(text: str) -> str:
        answer: str = click.prompt(text, prompt_suffix="\n> ", err=True)
        return answer

    if token == "-":  # noqa: S105  # a sign, not a token
        token = sys.stdin.readline()
    version = login.log_in(settings.load(), broker, account, token, ask)
    whose = f"{account} of {broker}" if account else broker
    print(f"the access token of {whose} is in the vault, version {version}")
    return 0
