"""Accounts that cannot be pulled are refused by whoever names them."""

import pytest

from producers.accounts.account import Account, checked
from runtime.errors import SettingError
from runtime.settings import load


@pytest.mark.parametrize(("user", "name"), [("", "a\0b"), ("a\0b", ""), ("", "two\nlines")])
def test_what_no_table_can_hold_is_refused(user: str, name: str) -> None:
    with pytest.raises(SettingError, match="printable characters as user and name in a file"):
        checked(Account(account="a", broker="sandbox", user=user, name=name), load({}), "a file")


def test_a_name_may_be_in_any_script() -> None:
    account = Account(account="a", broker="sandbox", name="रवि, HUF")
    assert checked(account, load({}), "a file") is account
