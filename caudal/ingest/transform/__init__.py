"""From record to row: by the contract alone, or through the user's function."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from caudal.config import Config
from caudal.contract import Contract, Delivery, UserFunction
from caudal.errors import ContractError
from caudal.ingest.transform.port import Transform
from caudal.registry import open_backend

__all__ = ["BACKENDS", "Transform", "check_delivery", "open_transform"]

BACKENDS = {
    "process": "caudal.ingest.transform.process:ProcessTransform",
    "inprocess": "caudal.ingest.transform.inprocess:InprocessTransform",
}


def open_transform(
    url: str, source: Contract, into: Contract, function: UserFunction | None, config: Config | None = None
) -> Transform:
    """Open the transform that `url` names."""
    return open_backend(Transform, BACKENDS, url, source, into, function, config or Config())  # type: ignore[type-abstract]


def check_delivery(source: Contract, into: Contract, delivery: Delivery) -> None:
    """Refuse a delivery that cannot work: ContractError, with the table, the column and the mend."""
    where = f"table {source.name}, delivery {into.name}"
    if delivery.format not in ("csv", "parquet", "iceberg"):
        raise ContractError(f"{where}: no format {delivery.format!r}", hint="use 'parquet', 'csv' or 'iceberg'")
    if delivery.compression not in ("", "gzip", "zstd") or (delivery.compression and delivery.format != "csv"):
        raise ContractError(f"{where}: no compression {delivery.compression!r} of {delivery.format}",
                            hint="CSV takes '', 'gzip' or 'zstd'; Parquet is always zstd")
    if not delivery.buffer_bytes > 0 or not delivery.buffer_seconds >= 0:
        raise ContractError(f"{where}: a buffer of {delivery.buffer_bytes} bytes and {delivery.buffer_seconds} s",
                            hint="give buffer_bytes above 0 and buffer_seconds of 0 or more")
    budget = delivery.error_budget
    if budget is not None and not (0 <= budget.fraction < 1 and budget.of_last >= 1 and budget.at_least >= 1):
        raise ContractError(f"{where}: {budget}", hint="a fraction is below 1, 0.01 for one in a hundred; counts are 1 or more")
    function = delivery.transform
    if function is None:
        if delivery.into is not None:
            raise ContractError(f"{where}: into={delivery.into.__name__} without a transform", hint="add transform=…")
        return
    assert isinstance(function, UserFunction)
    if not callable(function.function):
        raise ContractError(f"{where}: transform {function.name} is not a function", hint="give a function")
    if function.each == "batch":
        _check_batch(where, source, into, function)
    if function.each == "record":
        _check_record(where, source, into, function)


_EXAMPLES: dict[str, Any] = {
    "string": "", "int": 0, "decimal": Decimal(0), "float": 0.0, "bool": False, "date": date(2000, 1, 1),
    "timestamp": datetime(2000, 1, 1, tzinfo=UTC), "bytes": b"", "json": "{}",
}


def _check_record(where: str, source: Contract, into: Contract, function: UserFunction) -> None:
    """Try a record function with an item of empty values: if it answers with rows, these have the columns to come.

    That it raises, or drops such an item, says nothing: it may be right about real ones.
    """
    item = {column.name: column.values[0] if column.values else _EXAMPLES[column.kind] for column in source.columns}
    try:
        made = function.function(item)
    except Exception:  # whatever the user's code raises
        return
    for row in [made] if isinstance(made, dict) else made if isinstance(made, list) else []:
        for column in into.columns:
            if isinstance(row, dict) and column.name not in row and not column.nullable:
                raise ContractError(
                    f"{where}: transform {function.name} gives no column {column.name}",
                    hint=f"add it to what {function.name} returns, or declare it {column.name}: … | None",
                )


def _check_batch(where: str, source: Contract, into: Contract, function: UserFunction) -> None:
    """Run a batch function over no rows: what comes out has the columns that will come out."""
    try:
        made = function.function(source.row_schema.empty_table())
    except Exception as error:  # whatever the user's code raises
        raise ContractError(f"{where}: transform {function.name} fails on an empty table: {type(error).__name__}: {error}",
                            hint="make it work on a table without rows") from error
    if not isinstance(made, pa.Table):
        raise ContractError(f"{where}: transform {function.name} returns a {type(made).__name__}", hint="return a pyarrow.Table")
    needed = [column.name for column in into.columns if not column.nullable]
    for name in (*needed, "_position"):
        if name not in made.column_names:
            raise ContractError(
                f"{where}: transform {function.name} gives no column {name}",
                hint="keep _position: it says which record a row came from" if name == "_position"
                else f"add it to what {function.name} returns, or declare it {name}: … | None",
            )
