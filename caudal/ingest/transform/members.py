"""Members of JSON objects, counted in the bytes of many texts at once: no text is parsed.

A count may be too high, never too low. Within a string a colon that comes after a quote or a space counts as well.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caudal.records import Records, as_values

_BLOCK = 1 << 17
"""Bytes that are counted at a time: as many as stay in the processor's cache."""

_BEFORE = b'},"before":{'

Places: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Texts:
    """JSON texts, one after the other."""

    offsets: Places
    """Where each starts in `data`, and where the last one ends: shape (n + 1,)."""
    data: Bytes

    @staticmethod
    def of(values: pa.Array | pa.ChunkedArray) -> "Texts":
        """Texts of an Arrow column, where they lie; NULL as an empty one."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        values = values.cast(pa.large_binary())
        _, offsets, data = values.buffers()
        if not len(values) or data is None:
            return Texts(np.zeros(len(values) + 1, np.int64), np.zeros(0, np.uint8))
        bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
        return Texts(bounds - bounds[0], np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]])

    @staticmethod
    def of_records(records: Records) -> "Texts":
        """The records, where they lie."""
        return Texts(records.offsets, np.frombuffer(records.data, np.uint8))

    @property
    def values(self) -> pa.LargeBinaryArray:
        """The texts as an Arrow column."""
        return as_values(self.offsets, self.data.data)

    def count(self) -> int:
        """Members of all texts."""
        return sum(int(np.count_nonzero(_ends_name(block))) for _, block in _blocks(self.data))

    @cached_property
    def names(self) -> Places:
        """Where the names of members end in `data`, in order."""
        return _joined([start + np.flatnonzero(_ends_name(block)) for start, block in _blocks(self.data)])

    @cached_property
    def _tails(self) -> npt.NDArray[np.uint32]:
        """The last four bytes of each name with its quotes, as a number."""
        tails: npt.NDArray[np.uint32] = _words(self.data, "<u4")[np.maximum(self.names - 3, 0)]
        return tails

    def named(self, name: str) -> Places:
        """Where those of one name end."""
        whole = f'"{name}"'.encode()
        tail, rest = whole[-4:], whole[:-4]
        at: Places = self.names[self._tails >> 8 * (4 - len(tail)) == int.from_bytes(tail, "little")]
        at = at[at >= len(whole) - 1]
        for back, byte in enumerate(reversed(rest), 4):
            at = at[self.data[at - back] == byte]
        return at

    def per_text(self, at: Places) -> Places:
        """How many of the places, which are in order, are in each text: shape (n,)."""
        counts: Places = np.diff(np.searchsorted(at, self.offsets)).astype(np.int64)
        return counts

    def until_before(self) -> tuple["Texts", Places]:
        """Each record up to where an object ends and `"before"` follows, and the indices of those that have such a place."""
        cuts = _find_before(self.data)
        if not len(cuts):
            return self, cuts
        which, first = np.unique(np.searchsorted(self.offsets, cuts, "right") - 1, return_index=True)
        stops = self.offsets[1:].copy()
        stops[which] = cuts[first]
        bounds = np.append(np.column_stack([self.offsets[:-1], stops]).ravel(), self.offsets[-1])
        parts = as_values(bounds, self.data.data)  # what is kept and what is not, in turns
        return Texts.of(parts.take(pa.array(np.arange(0, len(parts), 2)))), which


def _ends_name(data: Bytes) -> Mask:
    """Which bytes, but for the last, end the name of a member, with the space behind it; others may seem to."""
    made: Mask = np.logical_and(data[1:] == ord(":"), data[:-1] <= ord('"'))
    return made


def _find_before(data: Bytes) -> Places:
    """The places behind objects that `"before"` follows, in order."""
    at: Places = _joined([
        start + _where(np.logical_and(block[:-1] == ord("}"), block[1:] == ord(","))) for start, block in _blocks(data)
    ])
    at = at[at + len(_BEFORE) <= len(data)]
    at = at[_words(data, "<u8")[at] == np.frombuffer(_BEFORE, "<u8", 1)]
    at = at[_words(data, "<u4")[at + 8] == np.frombuffer(_BEFORE, "<u4", 1, 8)]
    return at + 1


def _words(data: Bytes, kind: str) -> npt.NDArray[Any]:
    """The number that the bytes from each place on are."""
    return np.ndarray((max(0, len(data) + 1 - np.dtype(kind).itemsize),), kind, data, strides=(1,))


def _where(mask: Mask) -> Places:
    """Where a mask is true, quick if that is rare: eight at a time are looked at first."""
    whole = len(mask) & ~7
    eights = np.flatnonzero(mask[:whole].view(np.uint64) != 0)
    place = np.flatnonzero(mask[:whole].reshape(-1, 8)[eights])
    return _joined([eights[place >> 3] * 8 + (place & 7), whole + np.flatnonzero(mask[whole:])])


def _blocks(data: Bytes) -> list[tuple[int, Bytes]]:
    """Where each block starts, and its bytes with the first one of the next; at least one block."""
    return [(start, data[start : start + _BLOCK + 1]) for start in range(0, max(1, len(data)), _BLOCK)]


def _joined(parts: list[Places]) -> Places:
    made: Places = np.concatenate(parts)
    return made
