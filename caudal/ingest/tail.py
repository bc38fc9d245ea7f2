"""What has arrived on the streams and is not in the lake yet, as the rows that it will become: SQL shows it at once.

Each record is decoded once. Its rows are kept until a snapshot has them.
"""

import threading
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from caudal.ingest.stream import Stream
from caudal.ingest.transform import Transform
from caudal.lake.catalog import Snapshot
from caudal.records import Positions

LIMIT_BYTES = 256 << 20
"""Bytes of a table's records past which it is shown only up to there: a backlog must not fill the memory."""

READ_BYTES = 8 << 20
"""Bytes of records that are decoded at a time."""


class StreamTail:
    """The rows past a snapshot, read from the stream; see `caudal.lake.query.Tail`."""

    def __init__(self, stream: Stream, transforms: Mapping[str, Transform]) -> None:
        self._stream = stream
        self._tables = {name: _TableTail(stream, transform) for name, transform in transforms.items()}

    def rows(self, snapshots: Mapping[str, Snapshot]) -> dict[str, pa.Table]:
        shown = {name: snapshot for name, snapshot in snapshots.items() if name in self._tables}
        moment = self._stream.moment({snapshot.table.source for snapshot in shown.values()})
        found = {
            name: self._tables[name].between(snapshot.table.source, snapshot.positions, moment[snapshot.table.source])
            for name, snapshot in shown.items()
        }
        return {name: rows for name, rows in found.items() if rows is not None}


class _Run(NamedTuple):
    """Rows of neighbouring records of one shard, in their order."""

    first: int
    next: int
    bytes: int
    rows: pa.Table


class _TableTail:
    """The tail of one table of the lake."""

    def __init__(self, stream: Stream, transform: Transform) -> None:
        self._stream = stream
        self._transform = transform
        self._runs: dict[int, list[_Run]] = {}
        self._last: tuple[tuple[Positions, Positions], pa.Table | None] | None = None
        self._lock = threading.Lock()

    def between(self, source: str, start: Positions, stop: Positions) -> pa.Table | None:
        """Rows of the records from `start` up to `stop`. Raises Trimmed."""
        with self._lock:
            if self._last is None or self._last[0] != (start, stop):
                parts: list[pa.Table] = []
                for shard, end in stop.items():
                    parts += self._shard(source, shard, start.get(shard, 0), end, LIMIT_BYTES // len(stop))
                self._last = (start, stop), pa.concat_tables(parts) if parts else None
            return self._last[1]

    def _shard(self, source: str, shard: int, start: int, stop: int, limit: int) -> list[pa.Table]:
        runs = [run for run in self._runs.get(shard, []) if run.next > start]
        if runs and runs[0].first > start:
            runs = []  # an older snapshot than the last: rare, and not worth keeping rows for
        self._runs[shard] = runs
        while (runs[-1].next if runs else start) < stop and sum(run.bytes for run in runs) < limit:
            records = self._stream.read(source, shard, runs[-1].next if runs else start, min(READ_BYTES, limit))
            runs.append(_Run(records.first, records.next, len(records.data), self._transform.apply(records).rows))
            _merge(runs)
        parts = [run.rows if start <= run.first and run.next <= stop else _cut(run.rows, start, stop) for run in runs]
        return [part for part in parts if len(part)]


def _merge(runs: list[_Run]) -> None:
    """Keep the runs few, each row being copied but a few times: a run is at least half of all that follows it."""
    while len(runs) > 1 and runs[-2].bytes < 2 * runs[-1].bytes:
        newer, older = runs.pop(), runs.pop()
        rows = pa.concat_tables([older.rows, newer.rows]).combine_chunks()
        runs.append(_Run(older.first, newer.next, older.bytes + newer.bytes, rows))


def _cut(rows: pa.Table, start: int, stop: int) -> pa.Table:
    positions = rows["_position"].to_numpy()
    low, high = np.searchsorted(positions, (start, stop))
    return rows.slice(low, high - low)
