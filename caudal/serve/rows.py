"""What arrived on a stream, as typed rows: those that now are, and those that no longer are."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract
from caudal.ingest.transform import Transform
from caudal.records import Records
from caudal.serve.replaced import Repeats, replaced


class Images(NamedTuple):
    """Rows of a table, with the system columns, in the order of the stream."""

    now: pa.Table
    """Rows that were written."""
    before: pa.Table
    """Rows that these replaced, and rows that were deleted."""


class ImageReader:
    """Reads changes as rows of one lake table, by what the writer makes rows with.

    What the writer would quarantine is no row here either.
    """

    def __init__(self, transform: Transform, contract: Contract) -> None:
        self._transform = transform
        self._key = list(contract.key)
        self._form = contract.form
        self._order = {"dynamodb": "_event_time", "debezium": "_event_id"}.get(contract.form, "_position")
        self._repeats = Repeats() if contract.foreign else None

    def read(self, records: Records) -> Images:
        """Every image: each row that was ever shown is in `now` once and, if it went again, in `before` once."""
        rows = self._rows(records)
        if not self._key:
            return Images(rows, rows.slice(0, 0))
        gone = pc.equal(rows["_op"], "delete")
        return Images(rows.filter(pc.invert(gone)), pa.concat_tables([self._replaced(records, rows), rows.filter(gone)]))

    def read_latest(self, records: Records) -> Images:
        """The row of each key as the records leave it, and in `before` every other image of the key."""
        rows = self._rows(records)
        rows = rows.take(pc.sort_indices(rows, [(self._order, "ascending"), ("_position", "ascending")]))  # stable
        places = pa.array(np.arange(len(rows)))
        newest = rows.append_column("_place", places).group_by(self._key).aggregate([("_place", "max")])["_place_max"]
        here = pc.and_(pc.is_in(places, newest), pc.not_equal(rows["_op"].combine_chunks(), "delete"))
        return Images(rows.filter(here), pa.concat_tables([self._replaced(records, rows), rows.filter(pc.invert(here))]))

    def _rows(self, records: Records) -> pa.Table:
        rows = self._transform.apply(records).rows
        return rows if self._repeats is None else self._repeats.without(rows)

    def _replaced(self, records: Records, rows: pa.Table) -> pa.Table:
        """What the rows replaced: of repeats, nothing."""
        before = self._transform.apply(replaced(records, self._form)).rows
        return before if self._repeats is None else before.filter(pc.is_in(before["_event_id"], rows["_event_id"]))
