"""Whether the lake accounts for every record read, recounted from its files.

Per table and shard: positions read = positions in data files + dropped + quarantined, each position in one file only,
and every file as it was committed. Reads files with pyarrow alone, and shares no code with the writer.
"""

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from caudal.errors import CaudalError
from caudal.ingest.stream import Stream
from caudal.lake.catalog import Catalog, Snapshot, is_shadow
from caudal.lake.files import Files
from caudal.naming import SHADOW
from caudal.records import DataFile

FOLDERS = ("lake", "quarantine", "current")
"""Where objects of tables lie."""

LOST = ": was it lost, or is it an older copy?"

_OBJECT = re.compile(r"/part-(?P<epoch>\d{6,})-[0-9a-f]{16}\.[^/]*\Z")

Partition = tuple[tuple[str, str], ...]

CSV_BLOCK_BYTES = 64 << 20
"""Larger than any row."""


@dataclass
class ShardCount:
    """One shard of one table, in records."""

    table: str
    shard: int
    read: int
    delivered: int
    dropped: int
    quarantined: int
    rows: int
    """Rows in data files: more than `delivered` where a transform makes several of a record."""
    waiting: int = 0
    """Records of the stream that are still to be read; 0 if the stream was not looked at."""


@dataclass
class Verification:
    """What was counted, and what is wrong."""

    shards: list[ShardCount] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(catalog: Catalog, files: Files, stream: Stream | None = None, database: str = "") -> Verification:
    """Recount every table of the catalog. Compaction and expiry change nothing of what is counted.

    With the stream it is also told what still waits there, and what left it before it was delivered; with the pipeline's
    name, whether the lake holds objects that only a catalog other than this one could explain.
    """
    found = Verification()
    there = list_objects(files, database) if database else {}  # before the catalog is read: what comes meanwhile is no stranger
    for name in catalog.tables():
        _verify_table(catalog, files, name, found)
        check_audit(catalog, files, name, found)
    check_strangers(catalog, files, there, found)
    if stream is not None:
        compare_stream(catalog, stream, found)
    return found


def _verify_table(catalog: Catalog, files: Files, name: str, found: Verification) -> None:
    snapshot = catalog.snapshot(name)
    delivered: dict[int, dict[Partition, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    rows: dict[int, int] = defaultdict(int)
    for file in snapshot.files:
        places = _places(files, file, snapshot.table.format, found, name)
        for shard in np.unique(places[0]).tolist():
            positions = places[1][places[0] == shard]
            rows[shard] += len(positions)
            delivered[shard][file.partition].append(np.unique(positions))
    quarantined = quarantined_positions(catalog, files, name, found)
    dropped = dropped_records(catalog, name)
    for shard in sorted({*snapshot.positions, *delivered, *quarantined}):
        # A record whose rows lie in several partitions is in a file of each.
        parts = [np.concatenate(positions) for positions in delivered[shard].values()]
        doubled = np.unique(np.concatenate([*map(_repeated, parts), np.zeros(0, np.int64)]))
        positions = np.unique(np.concatenate([*parts, np.zeros(0, np.int64)]))
        count = ShardCount(name, shard, snapshot.positions.get(shard, 0), len(positions), dropped.get(shard, 0),
                           len(quarantined[shard]), rows[shard])
        found.shards.append(count)
        if len(doubled):
            found.problems.append(f"{name}, shard {shard}: {len(doubled)} records are in two files, first position {doubled[0]}")
        _check(count, positions, quarantined[shard], found)


def compare_stream(catalog: Catalog, stream: Stream, found: Verification) -> None:
    """How far each shard that was counted is behind its stream, and whether nothing is missing in between."""
    streams, counted = set(stream.names()), {(count.table, count.shard): count for count in found.shards}
    for name, table in catalog.tables().items():
        for shard, ends in (stream.ends(table.source) if table.source in streams else {}).items():
            count = counted.get((name, shard))
            if count is None:
                count = ShardCount(name, shard, 0, 0, 0, 0, 0)
                found.shards.append(count)
            count.waiting = max(0, ends.next - count.read)
            if count.read < ends.oldest and not is_shadow(name):  # a shadow is made of older rows of the lake as well
                lost = f"records {count.read} to {ends.oldest - 1} left the stream before they were delivered"
                found.problems.append(f"{name}, shard {shard}: {lost}")
            if count.read > ends.next:
                at = f"the lake is at position {count.read}, and its stream ends at {ends.next}"
                found.problems.append(f"{name}, shard {shard}: {at}")


def _repeated(positions: np.ndarray) -> np.ndarray:
    values, times = np.unique(positions, return_counts=True)
    return values[times > 1]


def _check(count: ShardCount, positions: np.ndarray, quarantined: np.ndarray, found: Verification) -> None:
    where = f"{count.table}, shard {count.shard}"
    both = np.intersect1d(positions, quarantined)
    if len(both):
        found.problems.append(f"{where}: {len(both)} records are delivered and quarantined, first position {both[0]}")
    beyond = positions[positions >= count.read]
    if len(beyond):
        found.problems.append(f"{where}: {len(beyond)} records lie past the committed position {count.read}")
    accounted = count.delivered + count.dropped + count.quarantined
    if accounted != count.read:
        missing = count.read - accounted
        found.problems.append(
            f"{where}: read {count.read} records, and {count.delivered} delivered + {count.dropped} dropped + "
            f"{count.quarantined} quarantined = {accounted}: {abs(missing)} too {'few' if missing > 0 else 'many'}"
            + _first_missing(count, positions, quarantined)
        )


def _first_missing(count: ShardCount, positions: np.ndarray, quarantined: np.ndarray) -> str:
    if count.dropped or count.read > 50_000_000:
        return ""  # a dropped record leaves no position to look for
    missing = np.setdiff1d(np.arange(count.read), np.concatenate([positions, quarantined]))
    return f", first position {missing[0]}" if len(missing) else ""


def _places(files: Files, file: DataFile, format: str, found: Verification, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Shard and position of each row of a data file, after checking the file itself."""
    nothing = np.zeros(0, np.int32), np.zeros(0, np.int64)
    data = checked(files, file, name, found)
    if data is None:
        return nothing
    try:
        read = read_columns(format, data, {"_shard": pa.int32(), "_position": pa.int64()})
    except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError, OSError) as error:
        found.problems.append(f"{name}: {file.path} cannot be read: {error}")
        return nothing
    if len(read) != file.rows:
        found.problems.append(f"{name}: {file.path} has {len(read)} rows, and was committed with {file.rows}")
    return read["_shard"].to_numpy(), read["_position"].to_numpy()


def checked(files: Files, file: DataFile, name: str, found: Verification) -> bytes | None:
    """The bytes of a file, None and a problem if they are not those that were committed."""
    try:
        data = files.get(file.path)
    except CaudalError as error:
        found.problems.append(f"{name}: {error}")
        return None
    if len(data) != file.bytes or hashlib.blake2b(data, digest_size=16).hexdigest() != file.checksum:
        found.problems.append(f"{name}: {file.path} is not as it was committed: {len(data)} bytes, {file.bytes} expected")
        return None
    return data


def _read_parquet(data: bytes, columns: list[str]) -> pa.Table:
    # In this thread alone: one of Arrow's that lets go of Python's bytes while Python ends would abort the process.
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(columns, use_threads=False)


def read_columns(format: str, data: bytes, columns: dict[str, pa.DataType]) -> pa.Table:
    """Some columns of a data file; the first bytes of a CSV say how it is compressed."""
    if format != "csv":
        return _read_parquet(data, list(columns))
    source = pa.BufferReader(data)
    compression = "gzip" if data[:2] == b"\x1f\x8b" else "zstd" if data[:4] == b"\x28\xb5\x2f\xfd" else None
    return pacsv.read_csv(
        pa.CompressedInputStream(source, compression) if compression else source,
        read_options=pacsv.ReadOptions(block_size=CSV_BLOCK_BYTES),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(include_columns=list(columns), column_types=columns),
    )


def quarantined_positions(catalog: Catalog, files: Files, name: str, found: Verification) -> dict[int, np.ndarray]:
    """Shard to the positions that are in quarantine and were not replayed."""
    positions: dict[int, list[int]] = defaultdict(list)
    for file in catalog.quarantine(name):
        data = checked(files, file, name, found)
        if data is None:
            continue
        read = _read_parquet(data, ["shard", "position"])
        places = list(zip(read["shard"].to_pylist(), read["position"].to_pylist(), strict=True))
        replayed = catalog.replayed(name, places)
        for shard, position in places:
            if (shard, position) not in replayed:
                positions[shard].append(position)
    return defaultdict(lambda: np.zeros(0, np.int64), {shard: np.array(p, np.int64) for shard, p in positions.items()})


def check_audit(catalog: Catalog, files: Files, name: str, found: Verification) -> None:
    """Whether what was edited or discarded is on record: each record that left quarantine so, with its original bytes."""
    replayed, seen = catalog.replayed(name), set()
    originals = _originals(catalog, files, name) if catalog.audit(name) else {}
    for file in catalog.audit(name):
        data = checked(files, file, name, found)
        if data is None:
            continue
        columns = _read_parquet(data, ["shard", "position", "outcome", "original"]).to_pydict()
        for shard, position, outcome, original in zip(*columns.values(), strict=True):
            seen.add((shard, position))
            if replayed.get((shard, position)) != outcome:
                found.problems.append(f"{name}, shard {shard}: the record at position {position} was {outcome} by {file.path}, "
                                      f"and is {replayed.get((shard, position), 'in quarantine')} by the catalog")
            elif originals.get((shard, position)) != hashlib.blake2b(original).digest():
                found.problems.append(f"{name}, shard {shard}: {file.path} has other bytes for the record at position {position} "
                                      "than its quarantine")
    missing = sorted(place for place, outcome in replayed.items() if outcome == "discarded" and place not in seen)
    if missing:
        found.problems.append(f"{name}, shard {missing[0][0]}: {len(missing)} discarded records are in no audit file, "
                              f"first position {missing[0][1]}")


def _originals(catalog: Catalog, files: Files, name: str) -> dict[tuple[int, int], bytes]:
    """(shard, position) of each quarantined record to the BLAKE2b of its bytes."""
    found: dict[tuple[int, int], bytes] = {}
    for file in catalog.quarantine(name):
        if (data := checked(files, file, name, Verification())) is not None:  # `verify` has told of it
            columns = _read_parquet(data, ["shard", "position", "raw"]).to_pydict()
            for shard, position, raw in zip(*columns.values(), strict=True):
                found[shard, position] = hashlib.blake2b(raw).digest()
    return found


def list_objects(files: Files, database: str) -> dict[str, list[str]]:
    """Table to the paths of its objects, whatever the catalog says."""
    there: dict[str, list[str]] = defaultdict(list)
    for folder in FOLDERS:
        for info in files.list(f"{folder}/{database}/"):
            there[info.path.split("/")[2]].append(info.path)
    return there


def check_strangers(catalog: Catalog, files: Files, there: dict[str, list[str]], found: Verification) -> None:
    """Whether some objects can only be of another catalog: this one was lost, emptied, or is an older copy.

    That no version names an object says little: killed writers leave such. But none is of an epoch that was never given
    out, and none that is made of committed rows, which is of epoch 0, holds rows that were not committed.
    """
    tables = catalog.tables()
    for name, paths in there.items():
        if is_shadow(name) and name.removesuffix(SHADOW) in tables and name not in tables:
            continue  # of a rebuild that was swapped in, or given up
        if name not in tables:
            found.problems.append(f"{name}: {len(paths)} objects in the lake, and the catalog has no such table{LOST}, "
                                  f"first object {paths[0]}")
            continue
        named = {file.path for file in (*catalog.named(name), *catalog.audit(name))}
        snapshot, newest = catalog.snapshot(name), catalog.holder(name).epoch
        strange = [
            path for path in paths if path not in named and (match := _OBJECT.search(path)) and (
                int(match["epoch"]) > newest if int(match["epoch"]) else _is_beyond(files, path, snapshot)
            )
        ]
        if strange:
            found.problems.append(f"{name}: {len(strange)} objects in the lake are of a catalog that had more commits than "
                                  f"this one{LOST}, first object {strange[0]}")


def _is_beyond(files: Files, path: str, snapshot: Snapshot) -> bool:
    """Whether an object made of committed rows holds some that are not."""
    if not snapshot.version:
        return True
    if not path.startswith("lake/"):
        return False  # an audit file of a replay that was killed, or an old base
    try:
        read = read_columns(snapshot.table.format, files.get(path), {"_shard": pa.int32(), "_position": pa.int64()})
    except (CaudalError, pa.ArrowInvalid, pa.ArrowKeyError, KeyError, OSError):
        return False  # removed meanwhile, or never finished
    shards, positions = read["_shard"].to_numpy(), read["_position"].to_numpy()
    reached = snapshot.positions
    return any(bool((positions[shards == shard] >= reached.get(shard, 0)).any()) for shard in np.unique(shards).tolist())


def dropped_records(catalog: Catalog, name: str) -> dict[int, int]:
    """Shard to records dropped on purpose: the one count that leaves nothing in a file."""
    dropped: dict[int, int] = defaultdict(int, catalog.totals(name).dropped_by_shard)
    for (shard, outcome), records in catalog.replays(name).items():
        dropped[shard] += records * (outcome != "delivered")  # also given up, or come again by the store
    return dropped
