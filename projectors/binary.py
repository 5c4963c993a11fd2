"""Rows in PostgreSQL's binary COPY form, made from numpy columns in one go.

One row is: number of fields i16, then for each its length i32 and its bytes, or length -1 for NULL; all big-endian
(PostgreSQL, "COPY", "Binary Format"). With fixed-size columns a row is one structured dtype: a template filled once,
its values assigned through strided views.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

POSTGRES_EPOCH_US = 946_684_800 * 1_000_000  # 2000-01-01 UTC
_SIZE = {">i8": 8, ">f8": 8, ">i4": 4, ">i2": 2}

Column = npt.NDArray[np.generic] | int | float


class Shape:
    """The fields of a row: names with their types (`>i8`, `>f8`, `>i4`, `>i2`), and which are NULL."""

    def __init__(self, fields: Sequence[tuple[str, str]], nulls: frozenset[str] = frozenset()) -> None:
        """Fix the order of the fields, which is that of the COPY statement's columns."""
        layout: list[tuple[str, str]] = [("fields", ">i2")]
        for name, kind in fields:
            layout.append((f"{name}.length", ">i4"))
            if name not in nulls:
                layout.append((name, kind))
        self._dtype = np.dtype(layout)
        template = np.zeros(1, self._dtype)
        template["fields"] = len(fields)
        for name, kind in fields:
            template[f"{name}.length"] = -1 if name in nulls else _SIZE[kind]
        self._template = template.tobytes()
        self._names = [name for name, _ in fields if name not in nulls]

    def rows(self, count: int, columns: Mapping[str, Column]) -> memoryview:
        """Give `count` rows as bytes; `columns` must hold every field that is not NULL."""
        buffer = bytearray(self._template) * count
        rows = np.frombuffer(buffer, self._dtype)
        for name in self._names:
            rows[name] = columns[name]
        return memoryview(buffer)


def microseconds(epoch_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give UTC epoch nanoseconds as PostgreSQL's timestamptz, rounded down to microseconds."""
    return epoch_ns // 1000 - POSTGRES_EPOCH_US
