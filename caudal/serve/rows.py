"""What arrived on a stream, as typed rows: those that now are, and those that no longer are."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.ingest.changes import encode_put
from caudal.ingest.transform import Transform
from caudal.records import Records


class Images(NamedTuple):
    """Rows of a table, with the system columns, in the order of the stream."""

    now: pa.Table
    """Rows that were written."""
    before: pa.Table
    """Rows that these replaced, and rows that were deleted."""


class _Before(msgspec.Struct):
    id: str
    time: int
    before: msgspec.Raw = msgspec.Raw(b"null")  # a union with None would refuse every object


_before = msgspec.json.Decoder(_Before)


class ImageReader:
    """Reads changes as rows of one lake table, by what the writer makes rows with.

    What the writer would quarantine is no row here either.
    """

    def __init__(self, transform: Transform, key: Sequence[str]) -> None:
        self._transform = transform
        self._key = list(key)

    def read(self, records: Records) -> Images:
        """Every image: each row that was ever shown is in `now` once and, if it went again, in `before` once."""
        rows = self._transform.apply(records).rows
        if not self._key:
            return Images(rows, rows.slice(0, 0))
        gone = pc.equal(rows["_op"], "delete")
        return Images(rows.filter(pc.invert(gone)), pa.concat_tables([self._replaced(records), rows.filter(gone)]))

    def read_latest(self, records: Records) -> Images:
        """The row of each key as the records leave it, and in `before` every other image of the key."""
        rows = self._transform.apply(records).rows
        rows = rows.take(pc.sort_indices(rows["_position"]))  # stable
        places = pa.array(np.arange(len(rows)))
        newest = rows.append_column("_place", places).group_by(self._key).aggregate([("_place", "max")])["_place_max"]
        here = pc.and_(pc.is_in(places, newest), pc.not_equal(rows["_op"].combine_chunks(), "delete"))
        return Images(rows.filter(here), pa.concat_tables([self._replaced(records), rows.filter(pc.invert(here))]))

    def _replaced(self, records: Records) -> pa.Table:
        return self._transform.apply(_replaced(records)).rows


def _replaced(records: Records) -> Records:
    """The items that puts replaced, as records of their own."""
    found = []
    for index in range(len(records)):
        raw = records.raw(index)
        if b'"before":' not in raw:
            continue
        try:
            wire = _before.decode(raw)
        except msgspec.DecodeError:
            continue
        before = bytes(wire.before)
        if before != b"null":
            found.append(encode_put(wire.id, wire.time, before, None))
    return Records.of(records.shard, records.first, found)
