"""Values that are put into a column: exact, and of a type that Athena takes for it."""

import pyarrow as pa
import pyarrow.types as at

from caudal.errors import QueryError


def assigned(column: pa.ChunkedArray, field: pa.Field, told: str) -> pa.ChunkedArray:
    """The values as the column's type has them. Raises QueryError: `told` says what was to be done with them."""
    if column.type.equals(field.type):
        return column
    try:
        if _fits(column.type, field.type):
            return column.cast(field.type)
    except pa.ArrowException:
        if _kind(column.type) == _kind(field.type):
            raise QueryError(f"INVALID_CAST_ARGUMENT: a value for {field.name} does not fit {field.type}",
                             hint="see what is too large or too exact for it") from None
    raise QueryError(f"TYPE_MISMATCH: {told}: {field.name} is {field.type}, not {column.type}", hint="cast it in the query")


def _fits(given: pa.DataType, wanted: pa.DataType) -> bool:
    if at.is_null(given) or _kind(given) == _kind(wanted):
        return True
    order = ("integer", "decimal", "float")
    if _kind(given) in order and _kind(wanted) in order:
        return order.index(_kind(given)) < order.index(_kind(wanted))
    return _kind(given) == "date" and _kind(wanted) == "timestamp"


def _kind(kind: pa.DataType) -> str:
    tests = {"integer": at.is_integer, "decimal": at.is_decimal, "float": at.is_floating, "boolean": at.is_boolean,
             "date": at.is_date, "timestamp": at.is_timestamp, "time": at.is_time, "list": at.is_list, "map": at.is_map,
             "row": at.is_struct}
    if at.is_string(kind) or at.is_large_string(kind):
        return "text"
    if at.is_binary(kind) or at.is_large_binary(kind):
        return "bytes"
    return next((name for name, test in tests.items() if test(kind)), str(kind))
