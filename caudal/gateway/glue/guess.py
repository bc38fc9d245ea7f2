"""What a sample of a file says of its format, columns and types. Only a crawler guesses: elsewhere a contract says it."""

import csv
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

SAMPLE_BYTES = 1 << 20
SEPARATORS = ",|\t;\x01"
_WHOLE = re.compile("-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_ZEROS = re.compile("[-+]?0[0-9]+")
_NAME_CHARACTERS = 150

Columns = dict[str, str]
"""Name, in lower case, to Hive type, in the order of the file."""


class Guess(NamedTuple):
    """What a file, or all files of a folder, are."""

    kind: str
    """csv, json or parquet."""
    columns: Columns
    separator: str = ""
    has_header: bool = False
    is_quoted: bool = False
    compression: str = ""


def guess(sample: bytes, is_whole: bool) -> Guess | None:
    """What a file is, by its first bytes (all of them if it is Parquet); None for what is none of the three."""
    if sample[:4] == b"PAR1":
        return _parquet(sample)
    compression = ""
    if sample[:2] == b"\x1f\x8b":
        unpacked = zlib.decompressobj(31)
        try:
            sample, compression = unpacked.decompress(sample, SAMPLE_BYTES), "gzip"
        except zlib.error:
            return None
        is_whole = is_whole and unpacked.eof
    if not is_whole:
        sample = sample[: sample.rfind(b"\n") + 1]
    try:
        text = sample.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    found = _json(text) if text.lstrip()[:1] in ("{", "[") else _csv(text)
    return found._replace(compression=compression) if found is not None else None


def merged(guesses: Sequence[Guess]) -> Guess | None:
    """What fits all files of a folder; None if they are of different formats."""
    first = guesses[0]
    if any((each.kind, each.separator, each.compression) != (first.kind, first.separator, first.compression) for each in guesses):
        return None
    columns: Columns = {}
    for each in guesses:
        for name, kind in each.columns.items():
            columns[name] = wider(columns.get(name, ""), kind)
    return first._replace(
        columns={name: kind or "string" for name, kind in columns.items()},
        has_header=any(each.has_header for each in guesses), is_quoted=any(each.is_quoted for each in guesses),
    )


def wider(a: str, b: str) -> str:
    """The type that holds the values of both; "" is that of no value."""
    if a == b or not b:
        return a
    if not a:
        return b
    if {a, b} <= {"bigint", "int", "double", "float"}:
        return "bigint" if {a, b} == {"bigint", "int"} else "double"
    return "string"


def type_of(values: Iterable[str]) -> str:
    """bigint if every value is a whole number of 64 bits, double if every one is a number, else string; "" without values."""
    found = ""
    for value in values:
        if not value:
            continue
        if _WHOLE.fullmatch(value) and -(1 << 63) <= int(value) < 1 << 63:
            found = wider(found, "bigint")
        elif _NUMBER.fullmatch(value) and not _ZEROS.fullmatch(value):  # 007 is a name, not a number
            found = wider(found, "double")
        else:
            return "string"
    return found


def _csv(text: str) -> Guess | None:
    for separator in SEPARATORS:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
        if rows and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows):
            break
    else:
        return None
    body = [type_of(column) for column in zip(*rows[1:], strict=True)]
    # A header is text over something else; over nothing but text nobody can tell it from a row.
    is_name = all(0 < len(name.strip()) < _NAME_CHARACTERS and type_of([name]) == "string" for name in rows[0])
    has_header = is_name and len(set(rows[0])) == len(rows[0]) and any(kind in ("bigint", "double") for kind in body)
    names = [name.strip().lower() for name in rows[0]] if has_header else [f"col{n}" for n in range(len(rows[0]))]
    kinds = body if has_header else [type_of(column) for column in zip(*rows, strict=True)]
    return Guess("csv", dict(zip(names, kinds, strict=True)), separator, has_header, '"' in text)


def _json(text: str) -> Guess | None:
    columns: Columns = {}
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        values = [msgspec.json.decode(line) for line in lines]
    except (msgspec.DecodeError, RecursionError):
        return None
    for value in values:
        if not isinstance(value, dict):
            return None
        for name, each in value.items():
            columns[name.lower()] = wider(columns.get(name.lower(), ""), _json_type(each))
    return Guess("json", columns) if columns else None


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "bigint" if -(1 << 63) <= value < 1 << 63 else "double"
    if isinstance(value, float):
        return "double"
    if isinstance(value, list):
        inner = ""
        for each in value:
            inner = wider(inner, _json_type(each))
        return f"array<{inner or 'string'}>"
    if isinstance(value, dict) and value:
        return "struct<" + ",".join(f"{name.lower()}:{_json_type(each) or 'string'}" for name, each in value.items()) + ">"
    return "" if value is None else "string"


def _parquet(data: bytes) -> Guess | None:
    try:
        schema = pq.read_schema(io.BytesIO(data))
    except pa.ArrowException:
        return None
    return Guess("parquet", {field.name.lower(): hive_type(field.type) for field in schema})


def hive_type(kind: pa.DataType) -> str:
    """The Hive type of an Arrow type."""
    if pa.types.is_struct(kind):
        return "struct<" + ",".join(f"{field.name.lower()}:{hive_type(field.type)}" for field in kind) + ">"
    if pa.types.is_map(kind):
        return f"map<{hive_type(kind.key_type)},{hive_type(kind.item_type)}>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_dictionary(kind):
        return hive_type(kind.value_type)
    return _HIVE.get(str(kind), "string")


_HIVE = {
    "bool": "boolean", "int8": "tinyint", "int16": "smallint", "int32": "int", "int64": "bigint", "uint8": "smallint",
    "uint16": "int", "uint32": "bigint", "uint64": "decimal(20,0)", "halffloat": "float", "float": "float", "double": "double",
    "date32[day]": "date", "binary": "binary", "large_binary": "binary",
}
