"""What a function per batch returned, held against the contract: each record that does not fit fails alone."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Column, Contract
from caudal.ingest.transform.cast import both, exact_cast, fitting, whole_microseconds
from caudal.ingest.transform.form import parse_value
from caudal.ingest.transform.values import JsonText, Misfit, exact_value


def fitting_rows(made: Any, given: pa.Table, into: Contract, failures: dict[int, Misfit], warnings: Counter[str]) -> pa.Table:
    """The rows with the contract's types and the system columns of the records that they came from.

    Records of which a row does not fit go to `failures`, by position. Raises Misfit if `made` is of no use at all.
    """
    if not isinstance(made, pa.Table) or "_position" not in made.column_names:
        raise Misfit("transform_output", "the function did not return an Arrow table with _position")
    where = pc.index_in(made["_position"], given["_position"])
    if where.null_count:
        raise Misfit("transform_output", "the function returned a _position that it was not given")
    system = given.select(into.system.names).take(where)
    columns, fits = [], None
    for column in into.columns:
        if made.column_names.count(column.name) > 1:
            raise Misfit("transform_output", f"the function returned {column.name} twice")
        values = made[column.name] if column.name in made.column_names else pa.nulls(len(made), column.arrow)
        try:
            values = exact_cast(column, values)
            inside = fitting(column, values)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values, inside = _one_by_one(column, values, system["_position"], failures, warnings)
        else:
            _explain(column, column.name in into.key, values, inside, system["_position"], failures)
        fits = both(fits, inside)
        columns.append(values)
    rows = pa.Table.from_arrays([*columns, *system.columns], schema=into.row_schema)
    if fits is None:
        return rows
    bad = pc.unique(system["_position"].filter(pc.invert(fits)))
    return rows.filter(pc.invert(pc.is_in(system["_position"], bad)))


def _one_by_one(
    column: Column, values: Any, positions: pa.ChunkedArray, failures: dict[int, Misfit], warnings: Counter[str]
) -> tuple[pa.Array, pa.Array]:
    """The values that fit, and which do."""
    def warn(name: str) -> None:
        warnings[name] += 1

    values, lossy = whole_microseconds(values)
    if lossy:
        warnings["timestamp_truncated"] += lossy
    kept, fits = [], []
    for value, position in zip(values.to_pylist(), positions.to_pylist(), strict=True):
        try:
            kept.append(exact_value(column, _as_json(column, value), warn))
            fits.append(True)
        except Misfit as misfit:
            failures.setdefault(position, misfit)
            kept.append(None)
            fits.append(False)
    return pa.array(kept, column.arrow), pa.array(fits)


def _explain(
    column: Column, in_key: bool, values: Any, inside: Any, positions: pa.ChunkedArray, failures: dict[int, Misfit]
) -> None:
    """Say why each value that is not `inside` does not fit."""
    if inside is None:
        return
    for index in np.flatnonzero(~inside.to_numpy(zero_copy_only=False)).tolist():
        try:
            if in_key and not values[index].is_valid:
                raise Misfit("null_key", f"{column.name} is part of the key and has no value")
            exact_value(column, values[index].as_py(), lambda _: None)
            why = Misfit("timestamp_format", f"{column.name} is outside the years 1 to 9999")
        except Misfit as misfit:
            why = misfit
        except (ValueError, OverflowError):  # Python has no such date
            why = Misfit("timestamp_format", f"{column.name} is outside the years 1 to 9999")
        failures.setdefault(positions[index].as_py(), why)


def _as_json(column: Column, value: Any) -> Any:
    """A nested column is given to the function as JSON text, and may come back as such."""
    if column.kind != "json" or not isinstance(value, str):
        return value
    if not isinstance(parse_value(value.encode()), list | dict):
        raise Misfit("wrong_type", f"{column.name} is JSON, but neither a list nor an object")
    return JsonText(value)
