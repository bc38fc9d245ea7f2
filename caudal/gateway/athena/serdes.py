"""Objects of S3 as rows, by the SerDe that the Data Catalog names: exact types, or HIVE_BAD_DATA."""

import base64
import csv as lines
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pyarrow.types as at

from caudal.errors import QueryError
from caudal.gateway.documents import Document

Columns = Sequence[tuple[str, pa.DataType]]

_ROWS = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_WRITER = msgspec.json.Encoder(decimal_format="number")


def decode(path: Path, key: str, table: Document, columns: Columns, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns of one object. Raises QueryError.

    Args:
        key: the object's key, whose ending says how it is compressed.
        columns: the table's, in their order.
    """
    serde = table["StorageDescriptor"].get("SerdeInfo", {})
    library = serde.get("SerializationLibrary", "").rpartition(".")[2]
    properties = table.get("Parameters", {}) | table["StorageDescriptor"].get("Parameters", {}) | serde.get("Parameters", {})
    if library == "ParquetHiveSerDe":
        return _parquet(path, columns, wanted)
    if library in ("JsonSerDe", "OpenXJsonSerDe"):
        return _json(_bytes(path, key), columns, wanted)
    if library in ("LazySimpleSerDe", "OpenCSVSerde"):
        return _text(_bytes(path, key), properties, library == "OpenCSVSerde", columns, wanted)
    raise QueryError(f"NOT_SUPPORTED: SerDe {library or '(none)'} is not served",
                     hint="LazySimpleSerDe, OpenCSVSerde, JsonSerDe and ParquetHiveSerDe are")


def _bytes(path: Path, key: str) -> bytes:
    ending = {"gz": "gzip", "bz2": "bz2", "zst": "zstd", "lz4": "lz4"}.get(key.rpartition(".")[2])
    try:
        with pa.input_stream(str(path), compression=ending) as stream:
            data: bytes = stream.read()
        return data
    except OSError:
        told = "HIVE_CURSOR_ERROR: an object cannot be decompressed"
        raise QueryError(told, hint="its name must end as it is compressed") from None


def _parquet(path: Path, columns: Columns, wanted: Sequence[str]) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        there = {name.lower(): name for name in file.schema_arrow.names}
        rows = file.read([there[name] for name in wanted if name in there])
        count = file.metadata.num_rows
    except (pa.ArrowException, OSError):
        raise QueryError("HIVE_CANNOT_OPEN_SPLIT: an object is no Parquet file", hint="see what lies under LOCATION") from None
    made = {}
    for name, kind in columns:
        if name in wanted:
            made[name] = _fitted(rows[there[name]], kind, name) if name in there else pa.nulls(count, kind)
    return pa.table(made)


def _fitted(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    given = column.type
    if given.equals(kind):
        return column
    same = (at.is_string(kind) == (at.is_string(given) or at.is_large_string(given) or at.is_dictionary(given))
            or at.is_null(given))
    try:
        if same and at.is_timestamp(kind) and at.is_timestamp(given):
            return column.cast(pa.timestamp("us", given.tz), safe=False).cast(kind)
        if same:
            return column.cast(kind)
    except pa.ArrowException:
        pass
    raise QueryError(f"HIVE_BAD_DATA: Field {name}'s type {given} in parquet file is incompatible with type {kind} defined in"
                     " table schema", hint="declare the column as the files have it")


def _json(data: bytes, columns: Columns, wanted: Sequence[str]) -> pa.Table:
    try:
        rows = [{key.lower(): value for key, value in row.items()}
                for row in _ROWS.decode_lines(data)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise QueryError("HIVE_CURSOR_ERROR: Row is not a valid JSON Object", hint="one object a line") from None
    made = {}
    for number, (name, kind) in enumerate(columns):
        if name in wanted:
            value = _json_value(kind)
            try:
                made[name] = pa.array([None if (v := row.get(name)) is None else value(v) for row in rows], kind)
            except (pa.ArrowException, ValueError, TypeError, AttributeError, OverflowError):
                raise _bad(name, number) from None
    return pa.table(made)


def _json_value(kind: pa.DataType) -> Callable[[Any], Any]:
    """Makes what Arrow takes of a JSON value."""
    if at.is_string(kind):
        return lambda value: value if isinstance(value, str) else _WRITER.encode(value).decode()
    if at.is_integer(kind) or at.is_decimal(kind) or at.is_floating(kind) or at.is_date(kind) or at.is_timestamp(kind):
        return lambda value: typed_texts(pa.array([str(value)]), kind, "value")[0].as_py()
    if at.is_list(kind):
        inner = _json_value(kind.value_type)
        return lambda value: [None if each is None else inner(each) for each in value]
    if at.is_map(kind):
        inner = _json_value(kind.item_type)
        return lambda value: [(key, None if each is None else inner(each)) for key, each in value.items()]
    if at.is_struct(kind):
        inners = {field.name: _json_value(field.type) for field in kind}
        return lambda value: {key.lower(): None if each is None else inners[key.lower()](each)
                              for key, each in value.items() if key.lower() in inners}
    if at.is_binary(kind):
        return base64.b64decode
    return lambda value: value


def _text(data: bytes, properties: Document, quoted: bool, columns: Columns, wanted: Sequence[str]) -> pa.Table:
    skip = int(properties.get("skip.header.line.count", 0))
    if quoted:
        form = {"delimiter": properties.get("separatorChar", ","), "quote_char": properties.get("quoteChar", '"'),
                "escape_char": properties.get("escapeChar", "\\"), "double_quote": True}
    else:
        delimiter = properties.get("field.delim") or properties.get("serialization.format") or "\x01"
        form = {"delimiter": "\x01" if delimiter == "1" else delimiter, "quote_char": False,
                "escape_char": properties.get("escape.delim") or False}
    texts = _fields(data, skip, form, len(columns), [n for n, (name, _) in enumerate(columns) if name in wanted])
    null = None if quoted else properties.get("serialization.null.format", "\\N")
    made = {}
    for number, (name, kind) in enumerate(columns):
        if name not in wanted:
            continue
        column = texts[f"f{number}"]
        if null is not None:
            nothing = pc.equal(column, null) if at.is_string(kind) else pc.or_(pc.equal(column, null), pc.equal(column, ""))
            column = pc.if_else(nothing, pa.scalar(None, pa.string()), column)
        if at.is_list(kind):
            inner = properties.get("collection.delim", "\x02")
            made[name] = _lists(column, inner, kind, name, number)
        elif quoted and (at.is_date(kind) or at.is_timestamp(kind)):
            whole = typed_texts(column, pa.int64(), name, number)  # days, and milliseconds, since 1970
            made[name] = (whole.cast(pa.int32()).cast(kind) if at.is_date(kind)
                          else whole.cast(pa.timestamp("ms", "UTC")).cast(kind))
        else:
            made[name] = typed_texts(column, kind, name, number)
    return pa.table(made)


def _fields(data: bytes, skip: int, form: dict[str, Any], width: int, wanted: Sequence[int]) -> pa.Table:
    """The wanted fields of each line as text; a short line ends in NULLs, and what a long one has more is left out."""
    names = [f"f{n}" for n in range(width)]
    if not data:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    try:
        return csv.read_csv(
            pa.py_buffer(data), csv.ReadOptions(column_names=names, skip_rows=skip),
            csv.ParseOptions(**form, ignore_empty_lines=False, newlines_in_values=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False,
                               include_columns=[names[n] for n in wanted]),
        )
    except pa.ArrowException:
        pass
    rows = data.decode(errors="replace").removesuffix("\n").split("\n")[skip:]
    if form["quote_char"]:
        options: dict[str, Any] = {
            "delimiter": form["delimiter"], "quotechar": form["quote_char"], "escapechar": form["escape_char"]}
        fields = [next(lines.reader([row.removesuffix("\r")], **options), [""]) for row in rows]
    elif form["escape_char"]:
        options = {"delimiter": form["delimiter"], "quoting": lines.QUOTE_NONE, "escapechar": form["escape_char"]}
        fields = [next(lines.reader([row.removesuffix("\r")], **options), [""]) for row in rows]
    else:
        fields = [row.removesuffix("\r").split(form["delimiter"]) for row in rows]
    return pa.table({names[n]: pa.array([row[n] if n < len(row) else None for row in fields], pa.string()) for n in wanted})


def _lists(column: Any, delimiter: str, kind: pa.DataType, name: str, number: int) -> Any:
    split = pc.split_pattern(column, delimiter).combine_chunks()
    split = split.combine_chunks() if isinstance(split, pa.ChunkedArray) else split
    values = typed_texts(split.flatten(), kind.value_type, name, number)
    return pa.ListArray.from_arrays(split.offsets, values, mask=split.is_null() if split.null_count else None).cast(kind)


def typed_texts(column: Any, kind: pa.DataType, name: str, number: int = 0) -> Any:
    """Text as values of a type, as Hive reads it. Raises QueryError."""
    if at.is_string(kind):
        return column
    if at.is_boolean(kind):
        lower = pc.utf8_lower(column)
        known = pc.or_(pc.equal(lower, "true"), pc.equal(lower, "false"))
        if pc.all(known, skip_nulls=True).as_py() is False:
            raise _bad(name, number)
        return pc.equal(lower, "true")
    if at.is_timestamp(kind):
        def to_time() -> Any:
            return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")

        return _or_bad(to_time, name, number)
    if at.is_binary(kind):
        texts = column.to_pylist()
        return _or_bad(lambda: pa.array([None if text is None else base64.b64decode(text) for text in texts], kind), name, number)
    if at.is_nested(kind):
        raise QueryError(f"NOT_SUPPORTED: column {name} of text is of type {kind}", hint="use JSON or Parquet for such columns")
    return _or_bad(lambda: column.cast(kind), name, number)


def _or_bad(work: Callable[[], Any], name: str, number: int) -> Any:
    try:
        return work()
    except (pa.ArrowException, ValueError):
        raise _bad(name, number) from None


def _bad(name: str, number: int) -> QueryError:
    """A value that is not of its column's type; it is not told, for it may be a person's."""
    return QueryError(f"HIVE_BAD_DATA: Error parsing field value for field {number} ({name})",
                      hint="declare the column as string, and cast it with try_cast")
