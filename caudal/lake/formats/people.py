"""CSV for people: the one dialect, but that no cell is taken for a formula by the program that opens it."""

from collections.abc import Iterable
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from caudal.lake.formats.csv import encode_csv
from caudal.lake.formats.json import flat

_FORMULA = r"\A[=+\-@\t\r\n]"
"""What spreadsheets take for the start of one, also behind quotes."""


def write_people(parts: Iterable[pa.Table], out: BinaryIO) -> int:
    """Write rows with a header line, text that looks like a formula behind a `'`; returns how many rows."""
    return _write((_escaped(part) for part in parts), out)


def write_tools(parts: Iterable[pa.Table], out: BinaryIO) -> int:
    """Write rows in the one dialect, verbatim; returns how many."""
    return _write(parts, out)


def _write(parts: Iterable[pa.Table], out: BinaryIO) -> int:
    rows, header = 0, True
    for part in parts:
        out.write(encode_csv(flat(part), header=header))
        rows, header = rows + len(part), False
    return rows


def _escaped(part: pa.Table) -> pa.Table:
    return pa.table(
        [_column(column) for column in part.columns],
        names=_column(pa.chunked_array([pa.array(part.column_names, pa.string())])).to_pylist(),
    )


def _column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    text = column.cast(pa.string())
    quoted = pc.binary_join_element_wise(pa.scalar("'"), text, pa.scalar(""))
    return pc.if_else(pc.match_substring_regex(text, _FORMULA), quoted, text)
