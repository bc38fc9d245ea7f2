"""Fields of CSV as the values that a contract's columns are read from."""

from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from caudal.contract import Contract
from caudal.ingest.transform.form import parse_value
from caudal.ingest.transform.values import Misfit, number_of
from caudal.records import Item


def from_text(kind: str, text: str | None) -> Any:
    """A CSV field, None if it is NULL, as a value for `exact_value`: what is not of its kind stays text."""
    if text is None or kind in ("string", "date", "timestamp", "bytes"):
        return text
    if kind == "bool":
        return {"true": True, "false": False}.get(text, text)
    if kind == "json":
        return parse_value(text.encode())
    text = text.strip()
    if kind == "float" and text in _FLOATS:
        return _FLOATS[text]
    try:
        return number_of(text)
    except ValueError:
        raise Misfit("number_format", "a number is not written like one") from None


_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf"), "inf": float("inf"), "-inf": float("-inf")}
"""What Athena and Python write of doubles that are no numbers."""


def rows_of_csv(data: bytes, into: Contract) -> list[Item]:
    """The rows of CSV lines without a header, in the order of the contract's columns. Raises Misfit."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Misfit("invalid_utf8", "data is not UTF-8") from None
    lines = _quoted(data, into) if '"' in text else [
        [field or None for field in line.removesuffix("\r").split(",")] for line in text.split("\n") if line.strip("\r")
    ]
    rows = []
    for line in lines:
        if len(line) != len(into.columns):
            raise _wrong_number(into)
        rows.append({column.name: from_text(column.kind, field) for column, field in zip(into.columns, line, strict=True)})
    return rows


def _quoted(data: bytes, into: Contract) -> list[tuple[str | None, ...]]:
    names = [column.name for column in into.columns]
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        raise _wrong_number(into) from None
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _wrong_number(into: Contract) -> Misfit:
    return Misfit("csv_fields", f"a CSV line has not the {len(into.columns)} fields of {into.name}")
