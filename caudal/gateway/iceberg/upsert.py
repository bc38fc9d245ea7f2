"""Rows that take the place of those with their key."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, In, LessThanOrEqual
from pyiceberg.schema import Schema
from pyiceberg.types import DoubleType, FloatType, NestedField, PrimitiveType

from caudal.errors import DataError, UsageError
from caudal.gateway.iceberg.tables import ALL, TOKEN, Making, Tables, fitted

_LISTED = 200
"""Keys up to which a file is looked for by each of them, and past which by the least and the greatest."""


def upsert(
    tables: Tables, database: str, name: str, rows: pa.Table, key: Sequence[str], deleted: pa.Table | None = None,
    token: str = "",
) -> None:
    """Put each row in the place of the one with its key, or add it; of a key that is there twice the last row counts.

    Files that hold one of the keys are written anew, in one commit with the rest.

    Args:
        key: columns whose values are never NULL and that tell rows apart: not of type float or double.
        deleted: keys whose rows go; those of `rows` too.
        token: what this is for: it is done once (`Tables.change`).

    Raises UsageError for columns that are no key, DataError for a key that is NULL, ArrowInvalid for values that do not fit.
    """
    def work(making: Making) -> None:
        schema = making.table.schema()
        check_key(schema, key)
        new = _last(fitted(rows, making.table), key)
        columns = [new[column] for column in key]
        keys = pa.table(columns, names=list(key))
        if deleted is not None:
            gone = pa.table([deleted[column].cast(keys[column].type) for column in key], names=list(key))
            if any(column.null_count for column in gone.columns):
                raise DataError(f"a key of {', '.join(key)} is NULL", hint="leave the record out")
            keys = pa.concat_tables([keys, gone])
            new = new.take(_outside(new, gone, key))
        if len(keys):
            exchange(making, new, keys, key, {TOKEN: token} if token else {})

    tables.change(database, name, work, token)


def exchange(making: Making, rows: pa.Table, keys: pa.Table, key: Sequence[str], note: Mapping[str, str]) -> None:
    """Put rows in the place of all that have one of the keys."""
    kept, removed = [rows], []
    for file in making.files(holding(keys, key)) if len(keys) else ():
        there = making.rows(file, key)
        rest = _outside(there, keys, key)
        if len(rest) == len(there):
            continue
        kept.append(making.rows(file).take(rest))
        removed.append(file.file)
    making.replace(pa.concat_tables(kept), removed, note)


def holding(keys: pa.Table, key: Sequence[str]) -> BooleanExpression:
    """What is true of every row that has one of the keys."""
    parts: list[BooleanExpression] = []
    for column in key:
        values = keys[column].unique()
        if not len(values):
            continue
        if len(values) <= _LISTED:
            parts.append(_predicate(In, column, set(values.to_pylist())))
        else:
            ends = pc.min_max(values) if not pa.types.is_boolean(values.type) else None
            if ends is not None:
                parts += [_predicate(GreaterThanOrEqual, column, ends["min"].as_py()),
                          _predicate(LessThanOrEqual, column, ends["max"].as_py())]
    return reduce(lambda both, part: And(both, part), parts, ALL)


def _predicate(kind: Any, column: str, value: Any) -> BooleanExpression:
    made: BooleanExpression = kind(column, value)
    return made


def check_key(schema: Schema, key: Sequence[str]) -> None:
    """Raises UsageError for columns that cannot tell rows apart."""
    for column in key:
        field: NestedField | None = next((each for each in schema.columns if each.name == column), None)
        kind = field.field_type if field is not None else None
        if not isinstance(kind, PrimitiveType) or isinstance(kind, FloatType | DoubleType):
            raise UsageError(f"column {column} cannot be a unique key", hint="use text, whole numbers, decimals or times")


def _last(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """The last row of each key. Raises DataError for a key that is NULL."""
    if any(rows[column].null_count for column in key):
        raise DataError(f"a key of {', '.join(key)} is NULL", hint="leave the record out")
    numbered = rows.select(list(key)).append_column("caudal_n", pa.array(range(len(rows)), pa.int64()))
    last = numbered.group_by(list(key)).aggregate([("caudal_n", "max")])["caudal_n_max"]
    return rows.take(last.sort())


def _outside(rows: pa.Table, keys: pa.Table, key: Sequence[str]) -> Any:
    """Which rows have none of the keys."""
    numbered = rows.select(list(key)).append_column("caudal_n", pa.array(range(len(rows)), pa.int64()))
    return numbered.join(keys, keys=list(key), join_type="left anti", use_threads=False)["caudal_n"].sort()
