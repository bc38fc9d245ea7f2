"""JSON records as rows of an Iceberg table: names and types as the table has them, values exact, or the record fails."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
)

from caudal.contract import Column, Kind
from caudal.ingest.transform.form import parse_object
from caudal.ingest.transform.values import Misfit, exact_value

Read = Callable[[Any], Any]
"""From JSON's value to the column's; raises Misfit."""

_KINDS: Mapping[type[IcebergType], Kind] = {
    BooleanType: "bool", IntegerType: "int", LongType: "int", FloatType: "float", DoubleType: "float", DateType: "date",
    StringType: "string", BinaryType: "bytes", TimestampType: "timestamp", TimestamptzType: "timestamp",
}
_PAST_SINGLE = 3.4028235677973366e38
"""The smallest number that 32 bits round to infinity: the largest and half a step."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def row_reader(schema: Schema) -> Callable[[bytes], dict[str, Any]]:
    """What makes a row of a record. It raises Misfit."""
    read = _object("the record", schema.columns)
    return lambda raw: read(parse_object(raw))


def key_reader(schema: Schema, key: Sequence[str]) -> Callable[[bytes], tuple[Any, ...]]:
    """What takes the values of some columns from a record, None for one that has none. It raises Misfit."""
    readers = [(name, _optional(name, schema.find_field(name).field_type, required=False)) for name in key]

    def read(raw: bytes) -> tuple[Any, ...]:
        found = parse_object(raw)
        return tuple(reader(found.get(name)) for name, reader in readers)

    return read


def _object(where: str, fields: tuple[NestedField, ...]) -> Read:
    readers = {field.name: _optional(field.name, field.field_type, field.required) for field in fields}

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Misfit("wrong_type", f"{where} is no object")
        if unknown := value.keys() - readers.keys():
            raise Misfit("unknown_column", f"{where} has {len(unknown)} names that the table has no column for")
        return {name: reader(value.get(name)) for name, reader in readers.items()}

    return read


def _optional(name: str, kind: IcebergType, required: bool) -> Read:
    read = _value(name, kind)

    def or_none(value: Any) -> Any:
        if value is not None:
            return read(value)
        if required:
            raise Misfit("missing_required", f"{name} has no value")
        return None

    return or_none


def _value(name: str, kind: IcebergType) -> Read:
    if isinstance(kind, StructType):
        return _object(name, kind.fields)
    if isinstance(kind, ListType):
        element = _optional(name, kind.element_type, kind.element_required)
        return lambda value: [element(each) for each in value] if isinstance(value, list) else _wrong(name, "list")
    if isinstance(kind, MapType):
        key, inner = _value(name, kind.key_type), _optional(name, kind.value_type, kind.value_required)
        return lambda value: (
            [(key(each), inner(of)) for each, of in value.items()] if isinstance(value, dict) else _wrong(name, "object"))
    if isinstance(kind, DecimalType):
        column = Column(name, "decimal", precision=kind.precision, scale=kind.scale)
    elif type(kind) in _KINDS:
        column = Column(name, _KINDS[type(kind)])
    else:
        return lambda value: _wrong(name, str(kind))
    if isinstance(kind, FloatType):
        return lambda value: _single(name, exact_value(column, value, _ignore))
    if isinstance(kind, IntegerType):
        return lambda value: _small(name, exact_value(column, value, _ignore))
    if isinstance(kind, TimestampType | TimestamptzType):
        return lambda value: _time(column, value, zoned=isinstance(kind, TimestamptzType))
    return lambda value: exact_value(column, value, _ignore)


def _single(name: str, value: float) -> float:
    if abs(value) >= _PAST_SINGLE:
        raise Misfit("float_overflow", f"{name} does not fit in 32 bits")
    return value


def _small(name: str, value: int) -> int:
    if not -(2**31) <= value < 2**31:
        raise Misfit("integer_overflow", f"{name} does not fit in 32 bits")
    return value


def _time(column: Column, value: Any, zoned: bool) -> datetime:
    """A time from ISO 8601 text, or from microseconds since 1970, as Firehose takes it."""
    if type(value) is int:
        try:
            made = _EPOCH + timedelta(microseconds=value)
        except OverflowError:
            raise Misfit("timestamp_format", f"{column.name} is outside the years 1 to 9999 in UTC") from None
    else:
        made = exact_value(column, value, _ignore)
    return made if zoned else made.replace(tzinfo=None)


def _wrong(name: str, kind: str) -> NoReturn:
    raise Misfit("wrong_type", f"{name} is not of the column's type, {kind}")


def _ignore(what: str) -> None:
    """A time's digits past microseconds are cut."""
