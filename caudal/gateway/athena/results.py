"""Results as text: how Athena writes each value, in its CSV files and in GetQueryResults alike."""

import io
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.types as at


def as_texts(table: pa.Table, digits: int = 3) -> pa.Table:
    """The table with each value as text, NULL as NULL; `digits` are those of a second's part."""
    return pa.table([_texts(column, digits) for column in table.columns], names=table.column_names)


def to_csv(texts: pa.Table) -> bytes:
    """All values quoted, NULL empty, one header line."""
    out = io.BytesIO()
    csv.write_csv(texts, out, csv.WriteOptions(quoting_style="all_valid"))
    return out.getvalue()


def from_csv(data: bytes) -> pa.Table:
    """What `to_csv` made, again."""
    names = csv.open_csv(pa.py_buffer(data), parse_options=_PARSE).schema.names
    return csv.read_csv(
        pa.py_buffer(data), csv.ReadOptions(column_names=names, skip_rows_after_names=1), _PARSE,
        csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True,
                           quoted_strings_can_be_null=False, null_values=[""]),
    )


_PARSE = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)


def to_lines(texts: pa.Table) -> bytes:
    """Rows as lines, columns separated by tabs, without a header: results of what is no query."""
    columns = [column.to_pylist() for column in texts.columns]
    return "".join("\t".join(value or "" for value in row) + "\n" for row in zip(*columns, strict=True)).encode()


def from_lines(data: bytes, names: list[str]) -> pa.Table:
    """What `to_lines` made, again."""
    rows = [line.split("\t") for line in data.decode().split("\n")[:-1]]
    return pa.table([pa.array([row[n] for row in rows], pa.string()) for n in range(len(names))], names=names)


def _texts(column: pa.ChunkedArray, digits: int) -> pa.ChunkedArray:
    kind = column.type
    if at.is_string(kind):
        return column
    if at.is_integer(kind) or at.is_boolean(kind) or at.is_date(kind) or at.is_large_string(kind) or at.is_null(kind):
        return column.cast(pa.string())
    if at.is_timestamp(kind):
        local = column.cast(pa.timestamp("ms" if digits == 3 else "us"), safe=False)
        return pc.strftime(local, "%Y-%m-%d %H:%M:%S")
    write = _writer(kind, digits)
    return pa.chunked_array([pa.array([None if value is None else write(value) for value in column.to_pylist()], pa.string())])


def _writer(kind: pa.DataType, digits: int) -> Callable[[Any], str]:
    """Writes one value that is there, of a type."""
    if at.is_floating(kind):
        single = at.is_float32(kind)
        return lambda value: _double(value, single)
    if at.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if at.is_decimal(kind):
        return lambda value: f"{value:f}"
    if at.is_binary(kind) or at.is_large_binary(kind):
        return lambda value: str(value.hex(" "))
    if at.is_timestamp(kind):
        return lambda value: f"{value:%Y-%m-%d %H:%M:%S}.{f'{value.microsecond:06}'[:digits]}"
    if at.is_list(kind) or at.is_large_list(kind):
        item = _inner(kind.value_type, digits)
        return lambda value: f"[{', '.join(map(item, value))}]"
    if at.is_map(kind):
        key, entry = _inner(kind.key_type, digits), _inner(kind.item_type, digits)
        return lambda value: "{" + ", ".join(f"{key(k)}={entry(v)}" for k, v in value) + "}"
    if at.is_struct(kind):
        fields = [(field.name, _inner(field.type, digits)) for field in kind]
        return lambda value: "{" + ", ".join(f"{name}={write(value[name])}" for name, write in fields) + "}"
    return str


def _inner(kind: pa.DataType, digits: int) -> Callable[[Any], str]:
    write = _writer(kind, digits)
    return lambda value: "null" if value is None else write(value)


def _double(value: float, single: bool = False) -> str:
    """A double as Java writes it: 1.0, 1.5E10, 1.0E-5, NaN, Infinity."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = str(pa.scalar(value, pa.float32()).cast(pa.string())) if single else repr(value)
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return _plain(text)
    digits = _plain(text).lstrip("-").replace(".", "")
    point = _plain(text).lstrip("-").index(".")
    leading = len(digits) - len(digits.lstrip("0"))
    digits = digits.lstrip("0").rstrip("0") or "0"
    return f"{'-' if value < 0 else ''}{digits[0]}.{digits[1:] or '0'}E{point - leading - 1}"


def _plain(text: str) -> str:
    """The digits of a double without an exponent, with a point."""
    if "e" in text:
        mantissa, exponent = text.split("e")
        digits = f"{float(text):.{max(0, len(mantissa.partition('.')[2]) - int(exponent))}f}"
        return digits if "." in digits else f"{digits}.0"
    return text if "." in text else f"{text}.0"
