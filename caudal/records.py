"""The nouns that travel between stages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Item = dict[str, Any]
"""One row of an operational table: attribute name to str, int, Decimal, float, bool, None, bytes, list, dict or set."""

Positions = dict[int, int]
"""Shard to the position of the next record to read in it."""


class Position(NamedTuple):
    """A place in one shard of a stream."""

    shard: int
    offset: int


class Change(msgspec.Struct, frozen=True):
    """What happened to one item."""

    op: Literal["put", "delete"]
    key: tuple[Any, ...]
    before: Item | None
    """The item before; None if there was none."""
    after: Item | None
    """The item now; None once it is deleted."""
    event_time: int
    """Microseconds since 1970, UTC."""
    event_id: str
    reason: str | None = None
    """Why it was deleted: user, ttl or erasure."""


@dataclass(frozen=True)
class Records:
    """A run of records of one shard, as columns: no Python object a record."""

    shard: int
    first: int
    """Position of the first record."""
    offsets: npt.NDArray[np.int64]
    """Where each record starts in `data`, and where the last one ends: shape (n + 1,)."""
    data: bytes | memoryview
    times: npt.NDArray[np.int64]
    """When each was appended, microseconds since 1970, UTC: shape (n,)."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def next(self) -> int:
        """Position after the last record."""
        return self.first + len(self)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        lengths: npt.NDArray[np.int64] = np.diff(self.offsets)
        return lengths

    @property
    def values(self) -> pa.LargeBinaryArray:
        """Each record as one value, where it lies."""
        return as_values(self.offsets, self.data)

    def raw(self, index: int) -> bytes:
        """The bytes of one record."""
        return bytes(self.data[self.offsets[index] : self.offsets[index + 1]])

    def __getitem__(self, part: slice) -> "Records":
        """Some of the records, on the same bytes."""
        start, stop, _ = part.indices(len(self))
        stop = max(start, stop)
        offsets = self.offsets[start : stop + 1]
        return Records(
            self.shard, self.first + start, offsets - offsets[0],
            memoryview(self.data)[offsets[0] : offsets[-1]], self.times[start:stop],
        )

    @staticmethod
    def of(shard: int, first: int, records: Sequence[bytes], time: int = 0) -> "Records":
        """Records from a list of bytes; for tests and small things."""
        lengths = np.fromiter(map(len, records), np.int64, len(records))
        return Records(shard, first, ends(lengths), b"".join(records), np.full(len(records), time, np.int64))


def as_values(offsets: npt.NDArray[np.int64], data: bytes | memoryview) -> pa.LargeBinaryArray:
    """Bytes as values, where they lie: one from each offset to the next."""
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)]
    )


def ends(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Offsets from lengths: shape (n,) to (n + 1,), starting at 0."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


class Rejected(NamedTuple):
    """A record that could not become a row."""

    shard: int
    position: int
    arrived: int
    """When it was appended to the stream, microseconds since 1970, UTC."""
    reason: str
    """One word of a fixed vocabulary, such as `invalid_json` or `decimal_overflow`."""
    detail: str
    """Where and what, without any value of a personal column."""
    raw: bytes
    origin: str = ""
    """How to read `raw` if it is a line of an import, as JSON of `caudal.ingest.changes.Origin`; "" for a stream's record."""


@dataclass(frozen=True)
class Outcome:
    """What a transform made of the records of one shard, each accounted for once."""

    rows: pa.Table
    """Typed rows, with the system columns."""
    delivered: int
    """Records that became one or more rows."""
    dropped: int
    """Records that the transform dropped on purpose."""
    rejected: list[Rejected]
    warnings: dict[str, int] = field(default_factory=dict)
    """Lossy but allowed things seen, by name: how often."""


@dataclass(frozen=True)
class DataFile:
    """One object of the lake that a commit adds."""

    path: str
    partition: tuple[tuple[str, str], ...]
    """Folder keys and values, in order."""
    rows: int
    bytes: int
    checksum: str
    """BLAKE2b of the object's bytes, hexadecimal."""


@dataclass(frozen=True)
class Commit:
    """Data files and the positions that they reach, visible together or not at all."""

    epoch: int
    """The writer's lease epoch; a commit under an older one is refused."""
    since: Positions
    """Positions of every shard that the writer read from: must be the catalog's own."""
    until: Positions
    """Positions of every shard after it: where the next commit reads on."""
    files: list[DataFile]
    quarantine: list[DataFile]
    records: int
    """Records read: delivered + dropped + quarantined."""
    delivered: int
    dropped: int
    quarantined: int
    rows: int
    newest: int | None = None
    """Event time of the newest row, microseconds since 1970, UTC."""
    dropped_by_shard: dict[int, int] = field(default_factory=dict)
    """Shard to its share of `dropped`: a dropped record leaves nothing else to recount."""
