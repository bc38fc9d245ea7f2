"""Parquet: columns by name, cast to the contract's types only where nothing is lost."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caudal.contract import Contract
from caudal.errors import UsageError
from caudal.ingest.importer.port import BadLine, Block
from caudal.ingest.transform.values import Misfit, exact_value, json_text
from caudal.records import Item

BATCH_ROWS = 20_000


def read_parquet(path: Path, contract: Contract) -> Iterator[Block]:
    """Read a Parquet file. Raises UsageError if it is none, or lacks a required column."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path}: not a Parquet file: {error}", hint="check the file, or say --format") from None
    names = set(file.schema_arrow.names)
    for column in contract.columns:
        if column.name not in names and not column.nullable:
            raise UsageError(f"{path}: has no column {column.name}, which {contract.name} needs",
                             hint=f"its columns are {', '.join(file.schema_arrow.names)}")
    total, rows = path.stat().st_size, max(1, file.metadata.num_rows)
    done = 0
    for batch in file.iter_batches(BATCH_ROWS):
        block = Block(0, total)
        _read_batch(pa.Table.from_batches([batch]), contract, done, block)
        done += len(batch)
        block.read = total * done // rows
        yield block


def _read_batch(table: pa.Table, contract: Contract, done: int, block: Block) -> None:
    exact = True
    for column in contract.columns:
        if column.name not in table.column_names:
            continue
        index = table.column_names.index(column.name)
        try:
            values = _cast(table[column.name], column.arrow)
            exact &= not column.values and (column.nullable or not values.null_count)
            table = table.set_column(index, column.name, values)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            exact = False
    items = table.to_pylist()
    if exact:
        block.items = items
        return
    for n, item in enumerate(items, done + 1):
        try:
            for column in contract.columns:
                exact_value(column, item.get(column.name), lambda _: None)
            block.items.append(item)
        except Misfit as misfit:
            block.rejected.append(BadLine(misfit.reason, f"row {n}: {misfit.detail}", _as_json(item)))


def _cast(values: pa.ChunkedArray, type: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_timestamp(type) and pa.types.is_timestamp(values.type) and values.type.tz is None:
        values = pc.assume_timezone(values, "UTC")
    if pa.types.is_string(type) and not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        if pa.types.is_dictionary(values.type):
            return values.cast(type)
        raise pa.ArrowInvalid("not text")  # 7 is not "7"
    return values.cast(type)


def _as_json(item: Item) -> bytes:
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in item.items()}
    try:
        return json_text(plain).encode()
    except (TypeError, UnicodeEncodeError):
        return repr(plain).encode()
