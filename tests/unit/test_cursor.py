"""A cursor is an opaque word for a place in several streams, and nothing else is taken for one."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import cursor
from runtime.errors import BadInput

NAMES = st.builds("{}{}".format, st.sampled_from("abz"), st.text("az09-", max_size=12))


@given(st.dictionaries(NAMES, st.integers(0, cursor.N_MAX - 1), max_size=8))
def test_a_word_means_its_position(position: cursor.Position) -> None:
    word = cursor.to_word(position)
    assert cursor.from_word(word) == position
    assert word.replace("-", "").replace("_", "").isalnum() or word == ""
    assert cursor.to_word(dict(reversed(position.items()))) == word


def word(position: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "?",
        "not a cursor",
        "ü",
        word([1, 2]),
        word({"accounts": "7"}),
        word({"accounts": -1}),
        word({"accounts": 1.5}),
        word({"accounts": 2**53}),
        word({"accounts": 2**70}),
        word({"../secrets": 7}),
        word({"Accounts": 7}),
        word({"": 7}),
        word({f"s{number}": 1 for number in range(1000)}),
        word({"accounts": 7}) + "!",
        word({"accounts": 7}) * 2,
    ],
)
def test_what_is_no_cursor_is_refused(wrong: str) -> None:
    with pytest.raises(BadInput, match="a cursor as Bahi gave it"):
        cursor.from_word(wrong)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        position = cursor.from_word(text)
    except BadInput:
        return
    assert cursor.from_word(cursor.to_word(position)) == position
