"""Types of columns, as the Data Catalog writes them, as Arrow has them and as Athena's results name them."""

from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.types as at
from sqlglot import exp
from sqlglot.errors import SqlglotError

from caudal.errors import QueryError

_HIVE: dict[str, pa.DataType] = {
    "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(), "integer": pa.int32(),
    "bigint": pa.int64(), "float": pa.float32(), "real": pa.float32(), "double": pa.float64(), "string": pa.string(),
    "varchar": pa.string(), "char": pa.string(), "binary": pa.binary(), "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}

_NAMES = (
    # Arrow, Hive, Athena, precision as results tell it
    (at.is_boolean, "boolean", "boolean", 0), (at.is_int8, "tinyint", "tinyint", 3),
    (at.is_int16, "smallint", "smallint", 5), (at.is_int32, "int", "integer", 10), (at.is_integer, "bigint", "bigint", 19),
    (at.is_float32, "float", "float", 17), (at.is_floating, "double", "double", 17), (at.is_date, "date", "date", 0),
    (at.is_timestamp, "timestamp", "timestamp", 3), (at.is_time, "string", "time", 3),
    (at.is_binary, "binary", "varbinary", 1_073_741_824), (at.is_large_binary, "binary", "varbinary", 1_073_741_824),
    (at.is_list, "array", "array", 0), (at.is_large_list, "array", "array", 0), (at.is_map, "map", "map", 0),
    (at.is_struct, "row", "row", 0), (at.is_null, "string", "unknown", 0),
)
_TEXT = ("string", "varchar", 2_147_483_647)


@lru_cache(4096)
def arrow_type(hive: str) -> pa.DataType:
    """The Arrow type of `array<struct<a:int>>`. Raises QueryError."""
    try:
        return _arrow(exp.DataType.build(hive, dialect="hive"))
    except (SqlglotError, KeyError, ValueError):
        raise QueryError(f"NOT_SUPPORTED: the type {hive[:100]} is not served", hint="use another type for the column") from None


def _arrow(kind: Any) -> pa.DataType:
    inner = kind.expressions
    if kind.this == exp.DType.ARRAY:
        return pa.list_(_arrow(inner[0]))
    if kind.this == exp.DType.MAP:
        return pa.map_(_arrow(inner[0]), _arrow(inner[1]))
    if kind.this == exp.DType.STRUCT:
        return pa.struct([(field.name.lower(), _arrow(field.args["kind"])) for field in inner])
    if kind.this == exp.DType.DECIMAL:
        sizes = [int(part.name) for part in inner] or [10]
        return pa.decimal128(sizes[0], sizes[1] if len(sizes) > 1 else 0)
    name = kind.this.value.lower()  # sqlglot's name
    return _HIVE[{"text": "string", "timestamptz": "timestamp", "varbinary": "binary"}.get(name, name)]


def hive_type(kind: pa.DataType) -> str:
    """The Data Catalog's name of an Arrow type."""
    if at.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if at.is_list(kind) or at.is_large_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    if at.is_map(kind):
        return f"map<{hive_type(kind.key_type)},{hive_type(kind.item_type)}>"
    if at.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{hive_type(field.type)}' for field in kind)}>"
    return _named(kind)[0]


def column_info(field: pa.Field) -> dict[str, Any]:
    """What GetQueryResults tells about a column."""
    kind = field.type
    _, name, precision = _named(kind)
    scale = 0
    if at.is_decimal(kind):
        name, precision, scale = "decimal", kind.precision, kind.scale
    return {
        "CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": field.name, "Label": field.name, "Type": name,
        "Precision": precision, "Scale": scale, "Nullable": "UNKNOWN", "CaseSensitive": name == "varchar",
    }


def _named(kind: pa.DataType) -> tuple[str, str, int]:
    return next(((hive, name, precision) for fits, hive, name, precision in _NAMES if fits(kind)), _TEXT)
