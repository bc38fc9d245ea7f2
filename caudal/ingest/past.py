"""Records that have left the stream, made again of the lake's rows: what a rebuild of all of history reads.

One by one in Python: this is no hot path.
"""

import base64
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec
import pyarrow as pa

from caudal.contract import Column, Contract
from caudal.errors import BackendError, UsageError
from caudal.ingest.changes import Origin, encode_rejected
from caudal.ingest.stream.port import Ends, Stream
from caudal.ingest.writer.quarantine import from_table, read_all
from caudal.lake.catalog import Catalog, Snapshot
from caudal.lake.files import Files
from caudal.lake.query import Query
from caudal.records import Positions, Records, Rejected

_SYSTEM = ("_op", "_reason", "_event_time", "_event_id", "_position", "_rescued")
_encode = msgspec.json.Encoder(decimal_format="number").encode
_origin = msgspec.json.Decoder(Origin).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NUMBERS = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}


class Past:
    """The records of one source up to where its stream begins, by a table of the lake that keeps them as they were."""

    def __init__(self, catalog: Catalog, files: Files, query: Query, snapshot: Snapshot) -> None:
        self._query = query
        self._snapshot = snapshot
        self._contract = snapshot.table.contract
        self._quarantine: dict[int, dict[int, Rejected]] = {}
        for table in read_all(catalog, files, snapshot.table.name):
            for record in from_table(table):
                self._quarantine.setdefault(record.shard, {})[record.position] = record
        self._open: dict[int, tuple[int, Iterator[Records]]] = {}
        self._rest: dict[int, Records] = {}

    def read(self, shard: int, offset: int, until: int, limit_bytes: int) -> Records:
        """Records of a shard from `offset` on, some of those below `until`. Quick if reads follow each other.

        Raises BackendError if the lake does not have them.
        """
        rest = self._rest.get(shard)
        if rest is None or not rest.first <= offset < rest.next:
            place, runs = self._open.get(shard, (-1, iter(())))
            if place != offset:
                runs = self._runs(shard, offset, until)
            rest = next(runs, None)
            if rest is None:
                raise BackendError(f"{self._snapshot.table.name}, shard {shard}: position {offset} is not in the lake",
                                   hint="run `caudal verify`")
            self._rest[shard], self._open[shard] = rest, (rest.next, runs)
        found = rest[offset - rest.first :]
        fit = int((found.offsets <= limit_bytes).sum()) - 1
        return found[: max(1, fit)]

    def _runs(self, shard: int, offset: int, until: int) -> Iterator[Records]:
        """Runs of records, each from where the one before ends."""
        columns = ", ".join(f'"{name}"' for name in (*(c.name for c in self._contract.columns), *_SYSTEM))
        table = self._snapshot.table.name
        sql = (f'SELECT {columns} FROM "{table}{"_history" if self._contract.key else ""}" WHERE _shard = {shard}'
               f" AND _position >= {offset} AND _position < {until} ORDER BY _position")
        place = offset
        for rows in self._query.stream(sql, versions={table: self._snapshot.version}):
            typed = rows.cast(pa.schema([self._contract.row_schema.field(name) for name in rows.column_names]))
            if len(typed):
                last = typed["_position"][-1].as_py() + 1
                yield self._run(shard, place, last, _encoded(self._contract, typed))
                place = last
        if place < until:
            yield self._run(shard, place, until, {})

    def _run(self, shard: int, start: int, stop: int, rows: Mapping[int, tuple[int, bytes]]) -> Records:
        """The records of some positions, each a row or in quarantine."""
        waiting = self._quarantine.get(shard, {})
        found = []
        for position in range(start, stop):
            record = rows.get(position) or _rejected(waiting.get(position))
            if record is None:
                raise BackendError(f"{self._snapshot.table.name}, shard {shard}: position {position} is neither in the lake "
                                   "nor in quarantine", hint="run `caudal verify`")
            found.append(record)
        made = Records.of(shard, start, [raw for _, raw in found])
        made.times[:] = [time for time, _ in found]
        return made


def _encoded(contract: Contract, rows: pa.Table) -> dict[int, tuple[int, bytes]]:
    """Position to time and record, as the store or the event log wrote it."""
    columns = [_values(column, rows[column.name]) for column in contract.columns]
    names = [column.name for column in contract.columns]
    times = rows["_event_time"].cast(pa.int64()).to_pylist()
    system = zip(rows["_position"].to_pylist(), rows["_op"].to_pylist(), rows["_event_id"].to_pylist(), times,
                 rows["_reason"].to_pylist(), strict=True)
    made = {}
    rescued = rows["_rescued"].to_pylist()
    for (position, op, id, time, why), values, more in zip(system, zip(*columns, strict=True), rescued, strict=True):
        row = dict(zip(names, values, strict=True))
        record = {"op": op, "id": id, "time": time, "row": row if more is None else row | _members(more)}
        made[position] = time, _encode(record if why is None else record | {"why": why}) + b"\n"
    return made


def _values(column: Column, values: pa.ChunkedArray) -> Sequence[Any]:
    """Values as JSON can say them exactly."""
    found: list[Any] = values.to_pylist()
    if column.kind == "json":
        return [None if value is None else msgspec.Raw(value.encode()) for value in found]
    if column.kind == "bytes":
        return [None if value is None else {"$bytes": base64.b64encode(value).decode()} for value in found]
    if column.kind == "float":
        return [msgspec.Raw(_NUMBERS[str(value)]) if value is not None and not math.isfinite(value) else value for value in found]
    return found


def _rejected(record: Rejected | None) -> tuple[int, bytes] | None:
    """A quarantined record as it was in the stream."""
    if record is None or not record.origin:
        return None if record is None else (record.arrived, record.raw)
    origin = _origin(record.origin)
    return record.arrived, encode_rejected(origin.id, origin.time, record.reason, record.detail, record.raw, origin.layout)


class Since(Stream):
    """A stream as the writer of a rebuild sees it: it begins with the past, if there is one, and may end early."""

    def __init__(self, stream: Stream, past: Past | None = None, stop: Positions | None = None) -> None:
        self._stream, self._past, self._stop = stream, past, stop

    @classmethod
    def open(cls, url: str) -> Self:
        raise UsageError(f"{url}: a view of a stream is made of a stream", hint="open the stream itself")

    def read(self, name: str, shard: int, offset: int, limit_bytes: int = 8 << 20) -> Records:
        if self._past is not None:
            oldest = self._stream.ends(name)[shard].oldest
            if offset < oldest:
                return self._past.read(shard, offset, oldest, limit_bytes)
        return self._stream.read(name, shard, offset, limit_bytes)

    def moment(self, names: Iterable[str]) -> dict[str, Positions]:
        found = self._stream.moment(names)
        if self._stop is None:
            return found
        return {
            name: {shard: min(offset, self._stop.get(shard, 0)) for shard, offset in now.items()} for name, now in found.items()
        }

    def ends(self, name: str) -> dict[int, Ends]:
        return self._stream.ends(name)

    def wait(self, name: str, seen: Mapping[int, int], timeout: float) -> bool:
        return self._stream.wait(name, seen, timeout)

    def create(self, name: str, shards: int = 4) -> int:
        return self._stream.create(name, shards)

    def append_all(self, records: Mapping[str, Sequence[tuple[bytes, bytes]]]) -> dict[str, Positions]:
        return self._stream.append_all(records)

    def names(self) -> list[str]:
        return self._stream.names()

    def drop(self, name: str) -> None:
        self._stream.drop(name)

    def close(self) -> None:
        """Nothing: the stream is somebody else's."""
