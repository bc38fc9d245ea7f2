"""Fields of CSV as the values that a contract's columns are read from."""

import csv
import io
import re
from typing import Any

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
    rows = []
    try:
        for line in csv.reader(io.StringIO(_marked(text), newline=""), strict=True):
            if len(line) != len(into.columns):
                raise Misfit("csv_fields", f"a CSV line has not the {len(into.columns)} fields of {into.name}")
            rows.append({
                column.name: from_text(column.kind, None if field == "" else field.removeprefix(_QUOTED))
                for column, field in zip(into.columns, line, strict=True)
            })
    except csv.Error:
        raise Misfit("csv_format", "a CSV line has a quote out of place") from None
    return rows
