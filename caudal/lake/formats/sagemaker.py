"""CSV as SageMaker's built-in algorithms read it: numbers alone, no header, the label first.

Decimals are plain: no exponent, for some algorithms take the `e` for text. Booleans are 0 and 1. NULL and NaN are nothing,
which means missing. There are no quotes, for no number needs any.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.errors import DataError, UsageError


def write_sagemaker(parts: Iterable[pa.Table], out: BinaryIO, label: str = "") -> int:
    """Write rows; returns how many.

    Raises UsageError for a column that is no number, DataError for a label that is missing and for infinity.
    """
    rows = 0
    for part in parts:
        ordered = _label_first(part, label)
        texts = [
            _text(name, column, rows, required=bool(label) and n == 0)
            for n, (name, column) in enumerate(zip(ordered.column_names, ordered.columns, strict=True))
        ]
        for chunk in _lines(texts):
            out.write(chunk)
        rows += len(part)
    return rows


def _label_first(part: pa.Table, label: str) -> pa.Table:
    if not label:
        return part
    if label not in part.column_names:
        raise UsageError(f"no column {label} to be the label", hint=f"there is {', '.join(part.column_names)}")
    return part.select([label, *(name for name in part.column_names if name != label)])


def _text(name: str, column: pa.ChunkedArray, done: int, *, required: bool) -> pa.Array:
    """Numbers as plain text. `done` is the number of rows before."""
    kind, values = column.type, column.combine_chunks()
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    elif pa.types.is_floating(kind):
        values = values.cast(pa.float64())
        _refuse(pc.is_inf(values), name, "infinite", done)
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    elif not (pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)):
        raise UsageError(f"column {name} is {kind}, and SageMaker's algorithms read numbers",
                         hint="leave it out, or make a number of it in SQL: to_unixtime(…), CASE WHEN …")
    if required:
        _refuse(values.is_null(), name, "missing, and it is the label", done)
    return _plain(values.cast(pa.string()))


def _refuse(where: pa.Array, name: str, what: str, done: int) -> None:
    found = pc.index(pc.fill_null(where, False), pa.scalar(True)).as_py()
    if found >= 0:
        raise DataError(f"{name} is {what}, in row {done + found + 1}", hint=f"leave such rows out: WHERE {name} …")


def _plain(text: pa.Array) -> pa.Array:
    """The numbers without exponents."""
    where = pc.fill_null(pc.match_substring(text, "e", ignore_case=True), False)
    if not where.true_count:
        return text
    made = [format(Decimal(number), "f") for number in text.filter(where).to_pylist()]
    return pc.replace_with_mask(text, where, pa.array(made, pa.string()))


def _lines(texts: list[pa.Array]) -> Iterator[memoryview]:
    """The bytes of the lines: where Arrow has joined them, they lie behind each other."""
    row = pc.binary_join_element_wise(*texts, ",", null_handling="replace", null_replacement="")
    whole = pc.binary_join_element_wise(row, pa.scalar("\n"), "")
    for chunk in whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]:
        if len(chunk):
            offsets = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
            yield memoryview(chunk.buffers()[2])[offsets[0] : offsets[-1]]
