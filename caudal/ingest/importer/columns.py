"""Whole columns as the values of items: times and dates as the text that the store keeps."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Column
from caudal.ingest.transform.cast import fitting
from caudal.lake.formats.csv import time_text
from caudal.records import Item

_NUMBERS = {
    "int": r"\A-?[0-9]{1,19}\z", "decimal": r"\A-?[0-9]{1,38}(\.[0-9]{1,38})?\z", "float": r"\A-?[0-9]{1,18}(\.[0-9]{1,18})?\z",
}
"""Numbers that need no closer look."""


def values_of_text(column: Column, data: pa.Array, point: bool = True) -> list[Any]:
    """The fields of a column of CSV, in bytes. `point`: whether numbers are written with one.

    Raises pa.ArrowInvalid if they need a closer look.
    """
    if column.kind in ("bytes", "json") or (column.kind in _NUMBERS and not point):
        raise pa.ArrowInvalid("one by one")
    text = data.cast(pa.string())
    if column.kind in _NUMBERS:
        if pc.all(pc.match_substring_regex(text, _NUMBERS[column.kind])).as_py() is False:
            raise pa.ArrowInvalid("not all are plain numbers")
        return stored_values(column, text.cast(column.arrow))
    if column.kind == "bool":
        if pc.all(pc.is_in(text.drop_null(), pa.array(["true", "false"]))).as_py() is False:
            raise pa.ArrowInvalid("not all are true or false")
        return stored_values(column, pc.equal(text, "true"))
    if column.kind == "date" and pc.any(pc.not_equal(pc.binary_length(text), 10)).as_py():
        raise pa.ArrowInvalid("not all are dates")
    return stored_values(column, text.cast(column.arrow))


def stored_values(column: Column, values: pa.Array) -> list[Any]:
    """Values of the column's own type as an item has them. Raises pa.ArrowInvalid unless all fit."""
    fits = fitting(column, values)
    if fits is not None and pc.all(fits).as_py() is False:
        raise pa.ArrowInvalid("not all fit")
    if column.kind == "float" and pc.all(storable_floats(values)).as_py() is False:
        raise pa.ArrowInvalid("not all can be stored")
    if column.kind == "timestamp":
        values = time_text(pa.chunked_array([values], values.type))
    elif column.kind == "date":
        values = values.cast(pa.string())
    made: list[Any] = values.to_pylist()
    return made


def storable_floats(values: pa.Array) -> pa.Array:
    """Which floats an item can hold: finite, and 0 or of 1E-130 to 1E+126."""
    size = pc.abs(values)
    inside = pc.and_(pc.greater_equal(size, 1e-130), pc.less(size, 1e126))
    return pc.fill_null(pc.or_(inside, pc.equal(size, 0)), True)


def as_items(columns: Sequence[Column], values: Sequence[list[Any]]) -> list[Item]:
    """Rows as items; what is NULL is left out."""
    names = [column.name for column in columns]
    if not any(column.nullable for column in columns):
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None} for row in zip(*values, strict=True)
    ]
