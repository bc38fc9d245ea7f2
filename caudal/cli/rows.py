"""Rows of a query in the form that was asked for."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from caudal.cli.screen import show_table, write
from caudal.errors import UsageError
from caudal.lake.formats import encode
from caudal.lake.formats.json import flat, json_lines, json_of


def write_rows(rows: pa.Table, format: str, output: Path | None) -> None:
    """Print rows, or write them to a file that is whole or not there."""
    if format == "table" and output is None:
        _show(rows)
        return
    data = _encoded(rows, format)
    if output is None:
        write(data)
        return
    half = output.with_name(f".{output.name}.half")
    half.write_bytes(data)
    half.replace(output)


def _encoded(rows: pa.Table, format: str) -> bytes | memoryview:
    names = [name for name, times in Counter(rows.column_names).items() if times > 1]
    if names:
        raise UsageError(f"two columns are called {names[0]}", hint="give one another name: … AS other_name")
    if format == "parquet":
        return encode(rows, format, "")
    if format == "csv":
        return encode(flat(rows), format, "")
    if format == "jsonl":
        return b"".join(line + b"\n" for line in json_lines(rows))
    return b"[" + b",\n ".join(json_lines(rows)) + b"]\n"


def _show(rows: pa.Table) -> None:
    right = [n for n, kind in enumerate(rows.schema.types) if pa.types.is_decimal(kind) or pa.types.is_integer(kind) or
             pa.types.is_floating(kind)]
    columns = [[_cell(value) for value in column.to_pylist(maps_as_pydicts="strict")] for column in rows.columns]
    show_table(rows.column_names, list(zip(*columns, strict=True)), right)


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, list | dict | bytes):
        return json_of(value).decode()
    return str(value)
