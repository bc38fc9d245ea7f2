"""Rows of one table of the lake taken over into another as they are, with what was dropped and quarantined among them."""

import pyarrow as pa
import pyarrow.compute as pc

from caudal.errors import BackendError
from caudal.ingest.writer.objects import newest, put_quarantine, put_rows
from caudal.ingest.writer.quarantine import Filter, waiting
from caudal.lake.catalog import Catalog, LakeTable, Snapshot
from caudal.lake.catalog.owner import new_owner
from caudal.lake.files import Files
from caudal.lake.query import Query
from caudal.records import Commit, Positions, Rejected

CARRIED = 200_000
"""Positions whose rows are taken over in one commit."""


class Carrier:
    """Brings a table to positions that another one of the same columns has reached; what is done stays done if it is killed."""

    def __init__(
        self, catalog: Catalog, files: Files, query: Query, database: str, source: Snapshot, table: LakeTable,
        lease_seconds: float,
    ) -> None:
        self._catalog, self._files, self._query, self._database = catalog, files, query, database
        self._source, self._table, self._lease_seconds = source, table, lease_seconds

    def carry(self, goal: Positions) -> None:
        """Take over the rows of all records below `goal`. Raises Unavailable while another process does, or delivers."""
        owner, name = new_owner(), self._table.name
        try:
            for shard, stop in sorted(goal.items()):
                rejected = list(waiting(self._catalog, self._files, self._source.table.name, Filter(shard=shard)))
                while True:
                    epoch, since = self._catalog.lease(name, owner, self._lease_seconds)
                    start = since.get(shard, 0)
                    if start >= stop:
                        break
                    until = min(stop, start + CARRIED)
                    some = [record for record in rejected if start <= record.position < until]
                    self._catalog.commit(name, self._commit(epoch, since, shard, until, some))
        finally:
            self._catalog.release(name, owner)

    def _commit(self, epoch: int, since: Positions, shard: int, until: int, rejected: list[Rejected]) -> Commit:
        start = since.get(shard, 0)
        rows = self._rows(shard, start, until)
        delivered = len(pc.unique(rows["_position"]))
        dropped = until - start - delivered - len(rejected)
        if dropped < 0:
            raise BackendError(f"table {self._source.table.name}, shard {shard}: records {start} to {until - 1} are there twice",
                               hint="run `caudal verify`")
        quarantine = put_quarantine(self._files, self._database, self._table, epoch, rejected) if rejected else []
        return Commit(
            epoch=epoch, since=since, until={**since, shard: until},
            files=put_rows(self._files, self._database, self._table, epoch, rows), quarantine=quarantine,
            records=until - start, delivered=delivered, dropped=dropped, quarantined=len(rejected), rows=len(rows),
            newest=newest(rows), dropped_by_shard={shard: dropped} if dropped else {},
        )

    def _rows(self, shard: int, start: int, until: int) -> pa.Table:
        source, schema = self._source.table, self._table.contract.row_schema
        name = f"{source.name}_history" if source.contract.key else source.name
        columns = ", ".join(f'"{column}"' for column in schema.names)
        found = self._query.execute(
            f'SELECT {columns} FROM "{name}" WHERE _shard = {shard} AND _position >= {start} AND _position < {until}'
            " ORDER BY _position", versions={source.name: self._source.version},
        )
        return found.rename_columns(schema.names).cast(schema)
