"""Columns and partitions of Iceberg tables, from and to SQL's and the engine's types."""

import re
from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.transforms import BucketTransform, IdentityTransform, Transform, TruncateTransform, parse_transform
from pyiceberg.types import IcebergType

from caudal.errors import QueryError
from caudal.gateway.iceberg.tables import small

_TRANSFORM = re.compile(r"\s*(\w+)\s*\(\s*[\"`]?(\w+)[\"`]?\s*(?:,\s*[\"`]?(\w+)[\"`]?\s*)?\)\s*|\s*[\"`]?(\w+)[\"`]?\s*")
_UNITS = {"year": "year", "years": "year", "month": "month", "months": "month", "day": "day", "days": "day", "date": "day",
          "hour": "hour", "hours": "hour", "date_hour": "hour"}


def schema_of(columns: pa.Schema) -> Schema:
    """The schema of a new table whose columns are of the engine's types; a field's metadata may have its `doc`."""
    fields = []
    for field in columns:
        if pa.types.is_null(field.type):
            raise QueryError(f"NOT_SUPPORTED: column {field.name} of type unknown", hint="cast it in the query")
        fields.append(pa.field(field.name, _stored(field.type), metadata=field.metadata))
    return assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(pa.schema(fields)))


def type_of(kind: pa.DataType) -> IcebergType:
    """A column's type, for one that is added or changed."""
    return schema_of(pa.schema([("c", kind)])).fields[0].field_type


def engine_rows(rows: pa.Table) -> pa.Table:
    """Rows of an Iceberg table with the engine's types: times are UTC."""
    return rows.cast(engine_schema(rows.schema))


def engine_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns, of the engine's types."""
    return pa.schema([pa.field(field.name, _shown(field.type)) for field in schema])


def spec_of(schema: Schema, parts: Sequence[str]) -> PartitionSpec:
    """The partitions that `bucket(16, id)`, `day(at)`, `category` say. Raises QueryError."""
    made = []
    for number, part in enumerate(parts, 1000):
        found = _TRANSFORM.fullmatch(part)
        if found is None:
            raise QueryError(f"INVALID_TABLE_PROPERTY: Unable to parse partitioning value: {part}", hint=_HINT)
        function, first, second, plain = found.groups()
        column, transform, name = _parsed(part, (function or "").lower(), first, second, plain)
        field = next((each for each in schema.fields if each.name == column), None)
        if field is None:
            raise QueryError(f"COLUMN_NOT_FOUND: partition column {column} is not in the table", hint=_HINT)
        if not transform.can_transform(field.field_type):
            raise QueryError(f"INVALID_TABLE_PROPERTY: Invalid partition field declaration: {part}: it is of type"
                             f" {field.field_type}", hint=_HINT)
        made.append(PartitionField(field.field_id, number, transform, name))
    names = [field.name for field in made]
    if len(set(names)) < len(names):
        raise QueryError("INVALID_TABLE_PROPERTY: a partition is there twice", hint=_HINT)
    return PartitionSpec(*made)


_HINT = "column, year(c), month(c), day(c), hour(c), bucket(n, c) or truncate(n, c)"


def _parsed(
    part: str, function: str, first: str, second: str | None, plain: str | None
) -> tuple[str, Transform, str]:  # type: ignore[type-arg]
    if plain is not None:
        return plain.lower(), IdentityTransform(), plain.lower()
    if function in ("bucket", "truncate"):
        number, column = (first, second) if first.isdecimal() else (second, first)
        if number is None or column is None or not number.isdecimal() or int(number) < 1:
            raise QueryError(f"INVALID_TABLE_PROPERTY: Unable to parse partitioning value: {part}", hint=_HINT)
        made: Transform = BucketTransform(int(number)) if function == "bucket" else TruncateTransform(int(number))  # type: ignore[type-arg]
        return column.lower(), made, f"{column.lower()}_{'bucket' if function == 'bucket' else 'trunc'}"
    if function not in _UNITS or second is not None:
        raise QueryError(f"INVALID_TABLE_PROPERTY: Unable to parse partitioning value: {part}", hint=_HINT)
    return first.lower(), parse_transform(_UNITS[function]), f"{first.lower()}_{_UNITS[function]}"


def parts_of(schema: Schema, spec: PartitionSpec) -> list[tuple[str, str, str]]:
    """Of each partition: its name, the transform as Iceberg writes it, and the column."""
    return [(field.name, str(field.transform), schema.find_field(field.source_id).name) for field in spec.fields]


def _stored(kind: pa.DataType) -> pa.DataType:
    """The type in which a table keeps an engine's: a time without a zone."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    if pa.types.is_int8(kind) or pa.types.is_int16(kind):
        return pa.int32()
    if pa.types.is_list(kind):
        return pa.list_(_stored(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_stored(kind.key_type), _stored(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _stored(field.type)) for field in kind])
    return small(kind)


def _shown(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC")
    if pa.types.is_list(kind):
        return pa.list_(_shown(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_shown(kind.key_type), _shown(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _shown(field.type)) for field in kind])
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    return kind
