"""Parquet: columns by name, cast to the contract's types only where nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from caudal.contract import Column, Contract
from caudal.errors import UsageError
from caudal.ingest.importer.columns import as_items, stored_values
from caudal.ingest.importer.port import BadLine, Block, as_json, item_value
from caudal.ingest.transform.cast import exact_cast, whole_microseconds
from caudal.ingest.transform.values import Misfit

BATCH_ROWS = 20_000


def read_parquet(path: Path, contract: Contract) -> Iterator[Block]:
    """Read a Parquet file. Raises UsageError if it is none, or lacks a required column."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path}: not a Parquet file: {error}", hint="check the file, or say --format") from None
    names = [contract.renames.get(name, name) for name in file.schema_arrow.names]
    for column in contract.columns:
        if column.name not in names and not column.nullable:
            raise UsageError(f"{path}: has no column {column.name}, which {contract.name} needs",
                             hint=f"its columns are {', '.join(names)}")
    if len(set(names)) != len(names):
        raise UsageError(f"{path}: two columns of one name", hint="rename one")
    total, rows = path.stat().st_size, max(1, file.metadata.num_rows)
    done = 0
    try:
        for batch in file.iter_batches(BATCH_ROWS):
            block = Block(0, total)
            _read_batch(batch.rename_columns(names), contract, done, block)
            done += len(batch)
            block.read = total * done // rows
            yield block
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path}: cannot be read past row {done}: {error}", hint="mend the file") from None


def _read_batch(batch: pa.RecordBatch, contract: Contract, done: int, block: Block) -> None:
    known = {column.name: column for column in contract.columns}
    columns = [known.get(name) or Column(name, "string", nullable=True) for name in batch.schema.names]
    given = [whole_microseconds(values)[0] for values in batch.columns]
    try:
        exact = [
            stored_values(column, exact_cast(column, values)) if column.name in known else _python(values)
            for column, values in zip(columns, given, strict=True)
        ]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass  # at least one value does not fit, or takes a closer look
    else:
        block.items = as_items(columns, exact)
        return
    for n, item in enumerate(as_items(columns, [_python(values) for values in given]), done + 1):
        try:
            for column in contract.columns:
                made = item_value(contract, column, item.get(column.name))
                if made is not None:
                    item[column.name] = made
            block.items.append(item)
        except Misfit as misfit:
            block.rejected.append(BadLine(misfit.reason, f"row {n}: {misfit.detail}", as_json(item)))


class _Beyond:
    """A time that Python has none for: it fits no column, and no item holds it."""


def _python(values: pa.Array) -> list[object]:
    try:
        made: list[object] = values.to_pylist()
        return made
    except (ValueError, OverflowError):
        return [_python_value(value) for value in values]


def _python_value(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return _Beyond()
