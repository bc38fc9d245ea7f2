"""The deeper look of `caudal verify --deep`: the lake against the stream, the base against the history, old versions too.

Like `caudal.verify` it shares no code with the writer: records are read as JSON for their ids alone.
"""

from collections import defaultdict

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.errors import Trimmed
from caudal.ingest.stream import Stream
from caudal.lake.catalog import Catalog, LakeTable, Snapshot
from caudal.lake.files import Files
from caudal.records import DataFile, Records
from caudal.verify import Verification, checked, compare_stream, dropped_records, quarantined_positions, read_columns, verify


class _Id(msgspec.Struct):
    id: str = ""


_id = msgspec.json.Decoder(_Id)
_PLACE = {"_shard": pa.int32(), "_position": pa.int64()}


def prove(catalog: Catalog, files: Files, stream: Stream, database: str = "") -> Verification:
    """Recount every table, and if nothing is wrong look deeper.

    Then: each committed record that the stream still holds is in the lake under its own id,
    in quarantine, or dropped; all rows ever committed are there; the base has each key once, from the history; and every
    file of a version that can be read is as it was committed.
    """
    found = verify(catalog, files, None, database)
    sound = found.ok
    compare_stream(catalog, stream, found)
    if not sound:
        return found
    for name, table in catalog.tables().items():
        snapshot = catalog.snapshot(name)
        rows = _rows(files, snapshot, found)
        _check_total(catalog, snapshot, found)
        _check_records(catalog, files, stream, snapshot, rows, found)
        _check_base(files, table, snapshot, rows, found)
        current = {file.path for file in (*snapshot.files, *(snapshot.base.files if snapshot.base else ()))}
        for file in catalog.named(name):
            if file.path not in current:
                checked(files, file, name, found)
    return found


def _rows(files: Files, snapshot: Snapshot, found: Verification) -> dict[int, pa.Table]:
    """Shard to position and event id of every row, by position."""
    parts: dict[int, list[pa.Table]] = defaultdict(list)
    for file in snapshot.files:
        data = _data(files, file)
        if data is None:
            continue  # `verify` has told of it
        table = read_columns(snapshot.table.format, data, {**_PLACE, "_event_id": pa.string()})
        for shard in pc.unique(table["_shard"]).to_pylist():
            parts[shard].append(table.filter(pc.equal(table["_shard"], shard)).select(["_position", "_event_id"]))
    return {shard: pa.concat_tables(tables, promote_options="permissive").sort_by("_position") for shard, tables in parts.items()}


def _data(files: Files, file: DataFile) -> bytes | None:
    return checked(files, file, "", Verification())


def _check_total(catalog: Catalog, snapshot: Snapshot, found: Verification) -> None:
    rows, committed = sum(file.rows for file in snapshot.files), catalog.totals(snapshot.table.name).rows
    if rows != committed:
        found.problems.append(f"{snapshot.table.name}: its files have {rows} rows, and {committed} were committed")


def _check_records(
    catalog: Catalog, files: Files, stream: Stream, snapshot: Snapshot, rows: dict[int, pa.Table], found: Verification
) -> None:
    name, source = snapshot.table.name, snapshot.table.source
    if source not in stream.names():
        return
    quarantined = quarantined_positions(catalog, files, name, Verification())
    dropped = dropped_records(catalog, name)
    for shard, ends in stream.ends(source).items():
        offset, until = ends.oldest, min(snapshot.positions.get(shard, 0), ends.next)
        lake, missing = _Lake(rows.get(shard)), []
        while offset < until:
            try:
                run = stream.read(source, shard, offset)[: until - offset]
            except Trimmed:
                break  # by a retention that ran meanwhile
            wrong = lake.other_ids(run)
            if len(wrong):
                found.problems.append(f"{name}, shard {shard}: {len(wrong)} rows are not of the record at their position, "
                                      f"first position {wrong[0]}")
            missing.append(np.setdiff1d(np.arange(run.first, run.next), np.concatenate([lake.positions, quarantined[shard]])))
            offset = run.next
        lost = np.concatenate([*missing, np.zeros(0, np.int64)])
        if len(lost) > dropped[shard]:
            found.problems.append(f"{name}, shard {shard}: {len(lost)} records of the stream are nowhere, and "
                                  f"{dropped[shard]} were dropped, first position {lost[0]}")


class _Lake:
    """One shard's rows in the lake."""

    def __init__(self, rows: pa.Table | None) -> None:
        self._ids = rows["_event_id"].combine_chunks() if rows is not None else pa.array([], pa.string())
        self.positions = rows["_position"].to_numpy() if rows is not None else np.zeros(0, np.int64)

    def other_ids(self, run: Records) -> np.ndarray:
        """Positions of rows that carry another id than their record."""
        start, stop = np.searchsorted(self.positions, [run.first, run.next])
        if start == stop:
            return np.zeros(0, np.int64)
        positions = self.positions[start:stop]
        told = pa.array([_id_of(run.raw(n)) for n in range(len(run))], pa.string())
        differ = pc.not_equal(told.take(pa.array(positions - run.first)), self._ids[start:stop])
        wrong: np.ndarray = positions[pc.fill_null(differ, False).to_numpy(zero_copy_only=False)]
        return wrong


def _id_of(raw: bytes) -> str | None:
    """A record's own id; None for one of another form, whose id cannot be told without its writer's code."""
    try:
        return _id.decode(raw).id or None
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _check_base(
    files: Files, table: LakeTable, snapshot: Snapshot, rows: dict[int, pa.Table], found: Verification
) -> None:
    if snapshot.base is None:
        return
    name, types = table.name, {key: table.contract.schema.field(key).type for key in table.contract.key}
    kept = [
        read_columns("parquet", data, {**_PLACE, **types})
        for file in snapshot.base.files if (data := checked(files, file, name, found)) is not None
    ]
    if not kept:
        return
    base = pa.concat_tables(kept, promote_options="permissive")
    twice = len(base) - base.group_by(list(types)).aggregate([]).num_rows
    if twice:
        found.problems.append(f"{name}: {twice} keys are in its base twice")
    for shard in pc.unique(base["_shard"]).to_pylist():
        places = base.filter(pc.equal(base["_shard"], shard))["_position"].to_numpy()
        known = rows[shard]["_position"].to_numpy() if shard in rows else np.zeros(0, np.int64)
        strange = np.setdiff1d(places, known)
        if len(strange):
            found.problems.append(f"{name}, shard {shard}: {len(strange)} rows of its base are not in its history, "
                                  f"first position {strange[0]}")
    changes = {file.path for file in snapshot.base.changes}
    before = [file for file in snapshot.files if file.path not in changes and file.rows]
    keys = [
        read_columns(table.format, data, types).group_by(list(types)).aggregate([])
        for file in before if (data := _data(files, file)) is not None
    ]
    count = pa.concat_tables(keys, promote_options="permissive").group_by(list(types)).aggregate([]).num_rows if keys else 0
    if count > len(base):
        found.problems.append(f"{name}: its base has {len(base)} keys, and its history {count} up to then")
