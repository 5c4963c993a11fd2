"""The broker's own list of instruments, as the ticker needs it: names to tokens, without SQL."""

import csv

from runtime.errors import BadInput


class Master:
    """One day's dump, for looking up."""

    def __init__(self, dump: bytes) -> None:
        """Read Kite's CSV. Raises BadInput where it is none."""
        lines = csv.DictReader(dump.decode("utf-8").splitlines())
        missing = {"instrument_token", "tradingsymbol", "exchange"} - set(lines.fieldnames or ())
        if missing:
            raise BadInput("Kite's instruments dump", f"a CSV without {', '.join(sorted(missing))}", "try again later")
        self._tokens = {f"{line['exchange']}:{line['tradingsymbol']}": int(line["instrument_token"]) for line in lines}
        self._numbers = frozenset(self._tokens.values())

    def all_tokens(self) -> list[int]:
        """Give every token, in the dump's order."""
        return list(self._tokens.values())

    def has(self, token: int) -> bool:
        """Say whether an instrument of this number is listed."""
        return token in self._numbers

    def token(self, name: str) -> int | None:
        """Give the token of EXCHANGE:SYMBOL, or None where the dump has no such thing."""
        return self._tokens.get(name)


def is_token(name: str) -> bool:
    """Say whether an instrument is given by its number."""
    return name.isdigit()
