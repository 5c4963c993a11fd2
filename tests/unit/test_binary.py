"""Rows in PostgreSQL's binary form, against the form as its documentation describes it."""

import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectors.binary import POSTGRES_EPOCH_US, Shape, microseconds

FIELDS = [("a", ">i8"), ("b", ">f8"), ("c", ">i2"), ("d", ">i4")]
CODES = {">i8": "q", ">f8": "d", ">i2": "h", ">i4": "i"}

rows = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**31), 2**31 - 1),
)


def by_hand(row: tuple[float, ...], nulls: frozenset[str]) -> bytes:
    made = struct.pack(">h", len(FIELDS))
    for (name, kind), value in zip(FIELDS, row, strict=True):
        if name in nulls:
            made += struct.pack(">i", -1)
        else:
            made += struct.pack(f">i{CODES[kind]}", struct.calcsize(f">{CODES[kind]}"), value)
    return made


@given(st.lists(rows, max_size=20), st.frozensets(st.sampled_from("abcd")))
def test_rows_are_what_the_form_says(given_rows: list[tuple[float, ...]], nulls: frozenset[str]) -> None:
    columns = {
        name: np.array([row[place] for row in given_rows], kind[1:])
        for place, (name, kind) in enumerate(FIELDS)
        if name not in nulls
    }
    made = Shape(FIELDS, nulls).rows(len(given_rows), columns)
    assert bytes(made) == b"".join(by_hand(row, nulls) for row in given_rows)


def test_one_value_serves_a_whole_column() -> None:
    made = Shape([("a", ">i8"), ("b", ">i2")]).rows(3, {"a": np.array([1, 2, 3]), "b": 7})
    assert bytes(made) == b"".join(struct.pack(">hiqih", 2, 8, n, 2, 7) for n in (1, 2, 3))


def test_a_column_that_is_missing_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Shape(FIELDS).rows(1, {"a": 1})


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_times_are_rounded_down_to_microseconds(ns: int) -> None:
    wanted = datetime.fromtimestamp(ns // 10**9, UTC) - datetime(2000, 1, 1, tzinfo=UTC)
    assert microseconds(np.array([ns]))[0] == wanted.days * 86_400 * 10**6 + wanted.seconds * 10**6 + ns % 10**9 // 1000
    assert datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 10**6 == POSTGRES_EPOCH_US
