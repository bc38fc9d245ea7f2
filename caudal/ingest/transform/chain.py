"""The order of DynamoDB's changes: what each made of which image, as digests that fit together like links.

Kinesis may deliver changes of one key and one millisecond in any order, and without DynamoDB's sequence number. But the
OldImage of one is the NewImage of the one before: that tells the order. Images are told apart by the contract's columns.
"""

import threading

import duckdb
import pyarrow as pa

from caudal.contract import Contract
from caudal.forms import CHAIN
from caudal.records import Records


class Chain:
    """Reads the columns of `CHAIN` from records in DynamoDB's form."""

    def __init__(self, contract: Contract) -> None:
        self._sql = _sql(contract, "line")
        self._careful = _sql(contract, "try_cast(line AS JSON)")
        self._here = threading.local()

    def link(self, rows: pa.Table, records: Records) -> pa.Table:
        """The rows with `CHAIN` beside them; what cannot be read of a record is NULL."""
        where = rows["_position"].combine_chunks().to_numpy() - records.first
        given = pa.table({"line": records.values.take(pa.array(where)).cast(pa.large_string())})
        try:
            found = self._ask(self._sql, given)
        except duckdb.Error:  # JSON by our reading and not by DuckDB's: half a surrogate pair, say
            found = self._ask(self._careful, given)
        return pa.Table.from_arrays([*rows.columns, *found.columns], schema=pa.schema([*rows.schema, *CHAIN]))

    def _ask(self, sql: str, given: pa.Table) -> pa.Table:
        """The answer of a database of this thread's own: connections are not shared."""
        if not hasattr(self._here, "database"):
            self._here.database = duckdb.connect(":memory:", config={"threads": 1})
        return self._here.database.from_arrow(given).query("given", sql).to_arrow_table().cast(CHAIN)


def _sql(contract: Contract, line: str) -> str:
    """What is asked of `given`; `line` is SQL of a record."""
    n = len(contract.columns)
    whole = [f"$.dynamodb.{image}.{column.name}" for image in ("OldImage", "NewImage") for column in contract.columns]
    around = ("$.eventName", "$.dynamodb.SequenceNumber")
    paths = ", ".join(f"'{path}'" for path in (*whole, *around))
    before, after = (_digest(contract, first) for first in (1, n + 1))
    return (
        f"SELECT CASE found[{2 * n + 1}] WHEN 'INSERT' THEN 0 ELSE {before} END AS _before,"
        f" CASE found[{2 * n + 1}] WHEN 'REMOVE' THEN 0 ELSE {after} END AS _after,"
        f" lpad(found[{2 * n + 2}], 40, '0') AS _sequence"
        f" FROM (SELECT json_extract_string({line}, [{paths}]) AS found FROM given)"
    )


def _digest(contract: Contract, first: int) -> str:
    """SQL of the digest, from 1 to 2^62, of the image whose columns are `found[first]` and on; NULL if it has no key.

    Columns go by name, and an attribute that is not there counts for nothing: so a new column changes no digest of items
    without it. Maps and sets may come in another order the next time: of nested values the parts count, and not their order.
    """
    parts = []
    for place, column in sorted(enumerate(contract.columns, first), key=lambda found: found[1].name):
        value = f"found[{place}]"
        if column.kind == "json":
            value = f"list_sort(regexp_split_to_array({value}, '[][{{}},:]'))::VARCHAR"
        parts.append(f"'{column.name}=' || {value}")
    names = [column.name for column in contract.columns]
    there = f"found[{first + names.index(contract.key[0]) if contract.key else first}] IS NOT NULL"
    return f"CASE WHEN {there} THEN (md5_number_lower(concat_ws('|', {', '.join(parts)})) >> 2)::BIGINT + 1 END"
