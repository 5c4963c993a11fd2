"""Which access token is tried: a refused one rests for a while, and a new one is tried at once."""

from pathlib import Path

import pytest

from producers.kite.address import REFUSED_SECONDS, Tokens
from runtime.clock import ManualClock
from runtime.errors import TokenRefused
from runtime.settings import load


def test_a_refused_token_rests_and_a_new_one_is_taken_at_once(tmp_path: Path) -> None:
    clock = ManualClock()
    tokens = Tokens(load({"BAHI_DATA_DIR": str(tmp_path), "BROKER": "kite"}), "kite", clock)
    with pytest.raises(TokenRefused, match="found none; run bahi login kite"):
        tokens.current()
    tokens.keep("monday")
    tokens.refuse(tokens.current())
    with pytest.raises(TokenRefused, match="only refused ones"):
        tokens.current()
    clock.advance(REFUSED_SECONDS - 1)
    with pytest.raises(TokenRefused):
        tokens.current()
    clock.advance(1)
    assert tokens.current() == "monday"
    tokens.refuse("monday")
    tokens.keep("tuesday")
    assert tokens.current() == "tuesday"


def test_the_setting_is_used_where_the_vault_has_none_or_a_refused_one(tmp_path: Path) -> None:
    settings = load({"BAHI_DATA_DIR": str(tmp_path), "BROKER": "kite", "KITE_ACCESS_TOKEN": "set by hand"})
    tokens = Tokens(settings, "kite", ManualClock())
    assert tokens.current() == "set by hand"
    tokens.keep("brought")
    assert tokens.current() == "brought"
    tokens.refuse("brought")
    assert tokens.current() == "set by hand"
