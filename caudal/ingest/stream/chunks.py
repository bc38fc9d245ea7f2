"""The stream inside an SQLite file: runs of records, written in the transaction of whoever writes them.

The embedded store appends here in the very transaction that changes an item, so that a write and its change are one.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import apsw
import numpy as np
import pyarrow as pa

from caudal.errors import BackendError, NotFound, Trimmed
from caudal.ingest.stream.port import Ends
from caudal.records import Positions, Records, ends

SCHEMA = """
CREATE TABLE IF NOT EXISTS stream (name TEXT PRIMARY KEY, shards INTEGER NOT NULL, base INTEGER NOT NULL);
-- id is (base + shard) * 2**44 + position of the first record: one b-tree, no index beside it.
CREATE TABLE IF NOT EXISTS chunk (
  id INTEGER PRIMARY KEY, records INTEGER NOT NULL, time INTEGER NOT NULL, size INTEGER NOT NULL,
  total INTEGER NOT NULL DEFAULT 0, -- bytes of the shard's records up to the end of this chunk
  lengths BLOB NOT NULL, data BLOB NOT NULL);
"""

SPAN = 1 << 44
COMPRESS_FROM = 16_384
"""Bytes from which a chunk is compressed: a batch, not a single put."""
CHUNK_BYTES = 4 << 20
"""Bytes from which records go to a further chunk, for a reader decompresses whole ones."""

_DROPPED = "\x01"
"""What the row of a dropped stream begins with in place of its name."""

_zstd = pa.Codec("zstd", compression_level=1)


class Place(NamedTuple):
    """Where a stream's shards are in the table."""

    shards: int
    base: int


def upgrade(db: apsw.Connection) -> None:
    """Bring a file of an earlier version up to date: bytes are counted from here on."""
    if not db.execute("SELECT 1 FROM pragma_table_info('chunk') WHERE name = 'total'").get:
        db.execute("ALTER TABLE chunk ADD COLUMN total INTEGER NOT NULL DEFAULT 0")


def create(db: apsw.Connection, name: str, shards: int) -> Place:
    """Create the stream unless it exists."""
    db.execute(
        "INSERT INTO stream SELECT ?1, ?2, coalesce(max(base + shards), 0) FROM stream WHERE true ON CONFLICT DO NOTHING",
        (name, shards),
    )
    return place(db, name)


def place(db: apsw.Connection, name: str) -> Place:
    """Find a stream. Raises NotFound."""
    row = db.execute("SELECT shards, base FROM stream WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound(f"no stream {name}", hint="declare a table of that name in the pipeline")
    return Place(*row)


def names(db: apsw.Connection) -> list[str]:
    """The streams that exist."""
    return [name for (name,) in db.execute("SELECT name FROM stream WHERE name NOT GLOB ? ORDER BY name", (f"{_DROPPED}*",))]


def drop(db: apsw.Connection, name: str) -> None:
    """Remove a stream, if it exists; to be called inside a transaction.

    Its range of ids stays taken, so that who still has its place never writes into another stream.
    """
    row = db.execute("SELECT shards, base FROM stream WHERE name = ?", (name,)).fetchone()
    if row is not None:
        where = Place(*row)
        db.execute("DELETE FROM chunk WHERE id >= ? AND id < ?", (where.base * SPAN, (where.base + where.shards) * SPAN))
        db.execute("UPDATE stream SET name = ? WHERE name = ?", (f"{_DROPPED}{where.base}", name))


def append(db: apsw.Connection, where: Place, shard: int, records: Sequence[bytes], time: int) -> int:
    """Add records as one chunk, or as a few if they are large; to be called inside a transaction.

    Returns the position of the first.
    """
    start, room = 0, CHUNK_BYTES
    firsts = []
    for n, record in enumerate(records):
        if room < len(record) and n > start:
            firsts.append(_append_chunk(db, where, shard, records[start:n], time))
            start, room = n, CHUNK_BYTES
        room -= len(record)
    firsts.append(_append_chunk(db, where, shard, records[start:], time))
    return firsts[0]


def _append_chunk(db: apsw.Connection, where: Place, shard: int, records: Sequence[bytes], time: int) -> int:
    low = (where.base + shard) * SPAN
    last = db.execute(
        "SELECT id + records, total FROM chunk WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1", (low, low + SPAN)
    ).fetchone()
    first, total = last or (low, 0)
    data = b"".join(records)
    size = len(data)
    if size >= COMPRESS_FROM:
        data = _zstd.compress(data, asbytes=True)
    lengths = array("I", map(len, records)).tobytes()
    db.execute("INSERT INTO chunk (id, records, time, size, total, lengths, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
               (first, len(records), time, size, total + size, lengths, data))
    return int(first - low)


def shard_ends(db: apsw.Connection, where: Place) -> dict[int, Ends]:
    """Shard to its oldest and next position."""
    found = {}
    for shard in range(where.shards):
        low = (where.base + shard) * SPAN
        oldest, newest = db.execute(
            "SELECT min(id), max(id + records) FROM ("
            "SELECT * FROM (SELECT id, records FROM chunk WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1)"
            " UNION ALL SELECT * FROM (SELECT id, records FROM chunk WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1))",
            (low, low + SPAN),
        ).get
        found[shard] = Ends(0, 0) if oldest is None else Ends(oldest - low, newest - low)
    return found


def nexts(db: apsw.Connection, where: Place) -> Positions:
    """Shard to its next position."""
    found = {}
    for shard in range(where.shards):
        low = (where.base + shard) * SPAN
        last = db.execute(
            "SELECT id + records FROM chunk WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1", (low, low + SPAN)
        ).get
        found[shard] = last - low if last is not None else 0
    return found


def waiting_bytes(db: apsw.Connection, where: Place, since: Mapping[int, int]) -> int:
    """Bytes of the records from those positions on: see `SupportsBackpressure`."""
    found = 0
    for shard in range(where.shards):
        low = (where.base + shard) * SPAN
        found += db.execute(
            "SELECT coalesce((SELECT total FROM chunk WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1), 0) - coalesce("
            "(SELECT total FROM chunk WHERE id >= ?1 AND id < ?1 + ?3 ORDER BY id DESC LIMIT 1),"
            "(SELECT max(0, total - size) FROM chunk WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1), 0)",
            (low, low + SPAN, since.get(shard, 0)),
        ).get
    return found


def read(db: apsw.Connection, where: Place, name: str, shard: int, offset: int, limit_bytes: int) -> Records:
    """The records from `offset` on: see `Stream.read`."""
    low = (where.base + shard) * SPAN
    start, lengths, times, data, total = -1, [], [], [], 0
    # One statement, so that what a trim takes away meanwhile is either there or not.
    for id, count, time, size, blob, body in db.execute(
        "SELECT id, records, time, size, lengths, data FROM chunk"
        " WHERE id >= (SELECT max(id) FROM chunk WHERE id >= ?1 AND id <= ?2) AND id < ?3 ORDER BY id",
        (low, low + offset, low + SPAN),
    ):
        start = id if start < 0 else start
        lengths.append(blob)
        times.append((time, count))
        data.append(body if len(body) == size else _zstd.decompress(body, decompressed_size=size, asbytes=True))
        total += size
        if total >= limit_bytes and id + count > low + offset:
            break
    if start < 0:
        _gap(db, where, name, shard, offset)
        return Records.of(shard, offset, [])
    sizes = np.frombuffer(b"".join(lengths), np.uint32).astype(np.int64)
    found = Records(
        shard, start - low, ends(sizes), b"".join(data),
        np.repeat([t for t, _ in times], [c for _, c in times]).astype(np.int64),
    )
    if offset > found.next:
        _gap(db, where, name, shard, offset)
    wanted = found[offset - found.first :]
    return _within(wanted, limit_bytes)


def _within(records: Records, limit_bytes: int) -> Records:
    """The longest start of `records` that fits, but at least one record."""
    if not len(records) or records.offsets[-1] <= limit_bytes:
        return records
    fit = int(np.searchsorted(records.offsets, limit_bytes, side="right")) - 1
    return records[: max(1, fit)]


def _gap(db: apsw.Connection, where: Place, name: str, shard: int, offset: int) -> None:
    oldest, newest = shard_ends(db, where)[shard]
    if offset < oldest:
        raise Trimmed(
            f"stream {name}, shard {shard}: positions {offset} to {oldest - 1} are no longer kept",
            hint=f"read on from {oldest}, and import what was in between again; or keep records longer (stream.retention)",
        )
    if offset > newest:
        raise BackendError(
            f"stream {name}, shard {shard}: position {offset} is past the end, {newest}",
            hint="the stream is younger than the lake: was store.db replaced?",
        )


def trim(db: apsw.Connection, where: Place, shard: int, before: int, older_than: int | None) -> None:
    """Drop whole chunks below `before`; the newest stays, for it holds the next position."""
    low = (where.base + shard) * SPAN
    newest = db.execute("SELECT max(id) FROM chunk WHERE id >= ? AND id < ?", (low, low + SPAN)).get
    stop = low
    for id, records, time in db.execute(
        "SELECT id, records, time FROM chunk WHERE id >= ? AND id < ? ORDER BY id", (low, low + before)
    ):
        if id == newest or id + records > low + before or (older_than is not None and time >= older_than):
            break
        stop = id + records
    db.execute("DELETE FROM chunk WHERE id >= ? AND id < ?", (low, stop))
