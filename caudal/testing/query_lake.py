"""A lake filled by hand, to ask queries of."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from caudal.contract import Column, Contract
from caudal.lake.catalog import Catalog, LakeTable, Replay
from caudal.lake.files import Files
from caudal.lake.formats import encode, suffix
from caudal.records import Commit, DataFile

ORDER = Contract("shop_order", (
    Column("id", "string"), Column("quantity", "int"), Column("note", "string", nullable=True),
), key=("id",))

VIEW = Contract("page_view", (Column("page", "string"), Column("visitor", "string", nullable=True)))

EVERY_KIND = Contract("every_kind", (
    Column("text", "string", nullable=True), Column("whole", "int", nullable=True),
    Column("exact", "decimal", nullable=True, precision=38, scale=6), Column("float", "float", nullable=True),
    Column("truth", "bool", nullable=True), Column("day", "date", nullable=True), Column("moment", "timestamp", nullable=True),
    Column("raw", "bytes", nullable=True), Column("nested", "json", nullable=True),
))


class Lake:
    """A catalog and its files, filled by hand: no writer is needed to try a query."""

    def __init__(self, catalog: Catalog, files: Files) -> None:
        self.catalog, self.files = catalog, files
        self._position: dict[str, int] = {}

    def declare(self, contract: Contract, format: str = "parquet", compression: str = "") -> LakeTable:
        table = LakeTable(contract.name, contract, contract.name, format, compression)  # type: ignore[arg-type]
        self.catalog.declare(table)
        return table

    def add(self, table: LakeTable, rows: Sequence[dict[str, Any]]) -> int:
        """Commit rows as one file; `_op` is put, or event without a key, unless a row says otherwise. Returns the version."""
        first = self._position.get(table.name, 0)
        usual = "put" if table.contract.key else "event"
        whole = [{"_op": usual, "_event_time": datetime(2026, 1, 1, tzinfo=UTC), "_event_id": f"e{first + n}", "_shard": 0,
                  "_position": first + n, **row} for n, row in enumerate(rows)]
        return self.add_bytes(table, self._encoded(table, whole), len(rows))

    def replay(self, table: LakeTable, replay: Replay, row: dict[str, Any]) -> int:
        """Make a row of a once quarantined record visible."""
        whole = {"_op": "put", "_event_time": datetime(2026, 1, 1, tzinfo=UTC), "_event_id": "late", "_shard": 0, **row}
        data = self._encoded(table, [whole])
        path = f"{table.name}/late-{len(list(self.files.list()))}{suffix(table.format, table.compression)}"
        self.files.put(path, data)
        return self.catalog.replay(table.name, [replay], [DataFile(path, (), 1, len(data), "")], 1)

    @staticmethod
    def _encoded(table: LakeTable, rows: list[dict[str, Any]]) -> memoryview:
        return encode(pa.Table.from_pylist(rows, table.contract.row_schema), table.format, table.compression)

    def add_bytes(self, table: LakeTable, data: bytes | memoryview, rows: int) -> int:
        """Commit a file of so many rows."""
        lease = self.catalog.lease(table.name, "test", 60)
        first = self._position.get(table.name, 0)
        path = f"{table.name}/part-{len(list(self.files.list()))}{suffix(table.format, table.compression)}"
        self.files.put(path, data)
        self._position[table.name] = first + rows
        return self.catalog.commit(table.name, Commit(
            lease.epoch, lease.positions, {0: first + rows}, [DataFile(path, (), rows, len(data), "")], [], rows, rows, 0, 0, rows, 0
        ))
