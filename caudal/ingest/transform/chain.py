"""The order of DynamoDB's changes: what each made of which image, as digests that fit together like links.

Kinesis may deliver changes of one key and one millisecond in any order, and without DynamoDB's sequence number. But the
OldImage of one is the NewImage of the one before: that tells the order. Images are told apart by the contract's columns.
"""

import threading
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from caudal.contract import Contract
from caudal.forms import CHAIN
from caudal.records import Records


class Chain:
    """Reads the columns of `CHAIN` from records in DynamoDB's form."""

    def __init__(self, contract: Contract) -> None:
        self._sql = _sql(contract)
        self._here = threading.local()

    def link(self, rows: pa.Table, records: Records) -> pa.Table:
        """The rows with `CHAIN` beside them; what cannot be read of a record is NULL there."""
        offsets = pa.py_buffer(np.ascontiguousarray(records.offsets))
        lines = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(records), [None, offsets, pa.py_buffer(records.data)])
        where = rows["_position"].combine_chunks().to_numpy() - records.first
        given = pa.table({"line": lines.take(pa.array(where)).cast(pa.large_string())})
        found = self._database().from_arrow(given).query("given", self._sql).to_arrow_table().cast(CHAIN)
        return pa.Table.from_arrays([*rows.columns, *found.columns], schema=pa.schema([*rows.schema, *CHAIN]))

    def _database(self) -> Any:
        """One a thread: connections are not shared."""
        if not hasattr(self._here, "database"):
            self._here.database = duckdb.connect(":memory:", config={"threads": 1})
        return self._here.database


def _sql(contract: Contract) -> str:
    n = len(contract.columns)
    whole = [f"$.dynamodb.{image}.{column.name}" for image in ("OldImage", "NewImage") for column in contract.columns]
    paths = ", ".join(f"'{path}'" for path in (*whole, "$.dynamodb.SequenceNumber", "$.eventName"))
    nested = [n for n, column in enumerate(contract.columns, 1) if column.kind == "json"]
    key = 1 + max((place for place, column in enumerate(contract.columns) if column.name in contract.key), default=0)
    before, after = (_digest(f"found[{first}:{first + n - 1}]", key, nested) for first in (1, n + 1))
    return (
        f"SELECT CASE op WHEN 'INSERT' THEN 0 ELSE {before} END AS _before,"
        f" CASE op WHEN 'REMOVE' THEN 0 ELSE {after} END AS _after,"
        " lpad(sequence, 40, '0') AS _sequence"
        f" FROM (SELECT found, found[{2 * n + 2}]->>'$' AS op, found[{2 * n + 1}]->>'$' AS sequence"
        f" FROM (SELECT json_extract(try_cast(line AS JSON), [{paths}]) AS found FROM given))"
    )


def _digest(image: str, key: int, nested: list[int]) -> str:
    """SQL of an image's digest, from 1 to 2^62; NULL for an image that is not there, and so has no key.

    Maps and sets may come in another order the next time: of nested values the parts count, and not their order.
    """
    values = image
    if nested:
        values = (
            f"list_transform({image}, lambda v, i: CASE WHEN i IN ({', '.join(map(str, nested))})"
            r" THEN list_sort(regexp_split_to_array(v::VARCHAR, '[][{},:]'))::VARCHAR ELSE v::VARCHAR END)"
        )
    return f"CASE WHEN {image}[{key}] IS NOT NULL THEN (md5_number_lower({values}::VARCHAR) >> 2)::BIGINT + 1 END"
