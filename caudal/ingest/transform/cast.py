"""Arrow columns of other people as a contract's own, where nothing is lost and nothing guessed."""

from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Column
from caudal.ingest.transform.values import FIRST_TIME, LAST_TIME

_FIRST_DAY, _LAST_DAY = FIRST_TIME // 86_400_000_000, LAST_TIME // 86_400_000_000

Values: TypeAlias = pa.Array | pa.ChunkedArray


def exact_cast(column: Column, values: Values) -> Values:
    """The values with the column's own type.

    Raises pa.ArrowInvalid, or ArrowNotImplementedError, if one of them would change: `exact_value` says which and why.
    A float does not become a decimal, a number no boolean or time, and text nothing else; times without a zone are UTC.
    """
    type = values.type
    if pa.types.is_dictionary(type):
        return exact_cast(column, values.cast(type.value_type))
    if pa.types.is_null(type):
        return values.cast(column.arrow)
    if not any(is_like(type) for is_like in _LIKE[column.kind]):
        raise pa.ArrowInvalid(f"{type} is not {column.sql}")
    if column.kind == "decimal" and pa.types.is_integer(type):
        values = values.cast(pa.decimal128(38, 0))
    if pa.types.is_timestamp(type) and type.tz is None:
        values = pc.assume_timezone(values, "UTC")
    return values.cast(column.arrow)


_LIKE = {
    "string": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "int": (pa.types.is_integer,),
    "decimal": (pa.types.is_decimal, pa.types.is_integer),
    "float": (pa.types.is_floating, pa.types.is_integer),
    "bool": (pa.types.is_boolean,),
    "date": (pa.types.is_date,),
    "timestamp": (pa.types.is_timestamp,),
    "bytes": (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view),
    "json": (),
}


def whole_microseconds(values: Values) -> tuple[Values, int]:
    """Nanoseconds as microseconds, rounded down, and how many of them lost something; other types as they are."""
    if not pa.types.is_timestamp(values.type) or values.type.unit != "ns":
        return values, 0
    made = pc.floor_temporal(values, unit="microsecond")
    lossy: int | None = pc.sum(pc.not_equal(made, values)).as_py()
    return made.cast(pa.timestamp("us", values.type.tz)), lossy or 0


def fitting(column: Column, values: Values) -> Values | None:
    """Which of the values, already of the column's type, it may hold; None if all."""
    fits = None
    if not column.nullable and values.null_count:
        fits = values.is_valid()
    if column.values:
        fits = both(fits, pc.or_(pc.is_in(values, pa.array(column.values)), values.is_null()))
    if column.kind == "timestamp":
        fits = both(fits, _between(values.cast(pa.int64()), FIRST_TIME, LAST_TIME))
    elif column.kind == "date":
        fits = both(fits, _between(values.cast(pa.int32()), _FIRST_DAY, _LAST_DAY))
    elif column.kind == "decimal":  # readers of JSON do not look at the precision
        low, high = (pa.scalar(Decimal((sign, (9,) * column.precision, -column.scale)), column.arrow) for sign in (1, 0))
        fits = both(fits, _between(values, low, high))
    return fits


def in_range(micros: Values) -> Values | None:
    """Which times, in microseconds since 1970, lie in the years 1 to 9999; None if all."""
    return _between(micros, FIRST_TIME, LAST_TIME)


def both(fits: Values | None, more: Values | None) -> Values | None:
    """Where both are true; None stands for everywhere."""
    if fits is None or more is None:
        return more if fits is None else fits
    return pc.and_(fits, more)


def _between(values: Values, low: Any, high: Any) -> Values | None:
    limits = pc.min_max(values)
    if _inside(limits["min"], low, high) and _inside(limits["max"], low, high):
        return None
    return pc.fill_null(pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)), True)


def _inside(value: pa.Scalar, low: Any, high: Any) -> bool:
    return pc.and_(pc.greater_equal(value, low), pc.less_equal(value, high)).as_py() is not False
