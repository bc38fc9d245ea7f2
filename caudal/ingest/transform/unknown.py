"""Members of an item that its contract does not know: kept as JSON text in the rescue column.

Hardly any record has some, so the others must cost next to nothing: the members in the bytes of a whole batch are counted,
and held against those that its rows account for. The first count may be too high, never too low, and the second too low,
never too high. So only records for which they differ are looked at, one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract
from caudal.forms import RESCUED
from caudal.ingest.transform.look import read_unknown
from caudal.records import Records, as_values

_BLOCK = 1 << 17
"""Bytes that are counted at a time: as many as stay in the processor's cache."""

_BEFORE = b'},"before":{'
"""Where the item of a put ends, and the one that it replaced begins."""

_SAMPLES = 8


class Rescue:
    """Finds unknown members in records of a contract's form."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._form = contract.form
        self._json = [column.name for column in contract.columns if column.kind == "json"]
        self._bytes = [column.name for column in contract.columns if column.kind == "bytes"]
        # What each column that has a value accounts for: its name and, in DynamoDB's form, that of its type.
        self._each = 2 if self._form == "dynamodb" else 1
        self._around = 4 if self._form == "caudal" else 0  # op, id, time, row

    def add(self, rows: pa.Table, records: Records, images: pa.ChunkedArray | None = None) -> tuple[pa.Table, int]:
        """The rows with what their records have beside the columns, and how many have something.

        Args:
            rows: what was made of the records, by position; records that did not fit have none.
            images: in DynamoDB's form the image that each row was read from, as JSON text; NULL where that is not known.
        """
        where = rows["_position"].to_numpy() - records.first
        found = {}
        for row in self._suspects(rows, records, where, images).tolist():
            if text := read_unknown(self._contract, records.raw(int(where[row]))):
                found[row] = text
        if not found:
            return rows, 0
        mask = np.zeros(len(rows), bool)
        mask[list(found)] = True
        texts = pc.replace_with_mask(pa.nulls(len(rows), pa.string()), mask, pa.array(found.values(), pa.string()))
        place = rows.schema.get_field_index(RESCUED)
        return rows.set_column(place, rows.schema.field(place), texts), len(found)

    def _suspects(
        self, rows: pa.Table, records: Records, where: npt.NDArray[np.int64], images: pa.ChunkedArray | None
    ) -> npt.NDArray[np.int64]:
        """Indices of the rows whose record may have unknown members."""
        if self._form == "debezium" or (self._form == "dynamodb" and (self._json or self._bytes)):
            return np.arange(len(rows))  # these have been read one by one anyway
        if images is not None:
            texts = _texts(images)
        else:
            texts = _of(records) if len(rows) == len(records) else _texts(records.values.take(pa.array(where)))
        odd = np.flatnonzero(images.is_null().to_numpy()) if images is not None else np.zeros(0, np.int64)
        if self._json:
            odd = _escaped(texts)
        known, cut = self._known(rows), self._form == "caudal" and _has_before(records)
        if not cut and not len(odd) and not self._bytes and texts.count() == known:
            return odd
        if self._form == "caudal":
            texts, doubtful = self._until_before(texts)
            odd = np.union1d(odd, doubtful)
            if cut and not len(odd) and not self._bytes and texts.count() == known:
                return odd
        return np.union1d(odd, np.flatnonzero(texts.per_text(texts.members) - self._known_each(rows, texts)))

    def _known(self, rows: pa.Table) -> int:
        """Members that the rows account for, all together."""
        columns = sum(len(rows) - rows[column.name].null_count for column in self._contract.columns)
        reasons = len(rows) - rows["_reason"].null_count if self._around else 0
        return self._around * len(rows) + reasons + self._each * columns + sum(_texts(rows[name]).count() for name in self._json)

    def _known_each(self, rows: pa.Table, texts: "_Texts") -> npt.NDArray[np.int64]:
        """Members that each row accounts for, those that are there without a value included."""
        nested = [_texts(rows[name]) for name in self._json]
        made = np.full(len(rows), self._around)
        if self._around:
            made += rows["_reason"].is_valid().to_numpy()
        for column in self._contract.columns:
            there = rows[column.name].is_valid().to_numpy()
            if rows[column.name].null_count:
                there = there | (self._named(column.name, texts, nested) > 0)
            made += self._each * there
        for text in nested:
            made += text.per_text(text.members)
        if self._bytes:
            values = sum(rows[name].is_valid().to_numpy().astype(np.int64) for name in self._bytes)
            made += np.minimum(values, self._named("$bytes", texts, nested))
        return made

    @staticmethod
    def _named(name: str, texts: "_Texts", nested: Sequence["_Texts"]) -> npt.NDArray[np.int64]:
        """How many members of each text have a name, without those inside of nested values."""
        found = texts.per_text(texts.named(name))
        for text in nested:
            found = found - text.per_text(text.named(name))
        return found

    def _until_before(self, texts: "_Texts") -> tuple["_Texts", npt.NDArray[np.int64]]:
        """The texts without the items that were replaced, and the indices of those that may have been cut too early."""
        cuts = _find_before(texts.data)
        if not len(cuts):
            return texts, cuts
        row, first = np.unique(np.searchsorted(texts.offsets, cuts, "right") - 1, return_index=True)
        stops = texts.offsets[1:].copy()
        stops[row] = cuts[first]
        bounds = np.empty(2 * len(stops), np.int64)
        bounds[0::2], bounds[1::2] = texts.offsets[:-1], stops
        parts = as_values(np.append(bounds, texts.offsets[-1]), texts.data)
        cut = _texts(parts.take(pa.array(np.arange(0, len(bounds), 2))))
        if not self._json and not self._bytes:
            return cut, row[:0]
        # An attribute called "before" may stand behind a nested value: then more than one object is open.
        opened = int(np.count_nonzero(cut.data == ord("{"))) - int(np.count_nonzero(cut.data == ord("}")))
        return cut, row if opened != len(row) else row[:0]


@dataclass(frozen=True)
class _Texts:
    """JSON texts, one after the other."""

    offsets: npt.NDArray[np.int64]
    """Where each starts in `data`, and where the last one ends: shape (n + 1,)."""
    data: npt.NDArray[np.uint8]

    def count(self) -> int:
        """Members of all texts."""
        return sum(int(np.count_nonzero(_ends_member(block))) for _, block in _blocks(self.data))

    @cached_property
    def members(self) -> npt.NDArray[np.int64]:
        """Where the names of members end, in `data`."""
        return np.concatenate([start + np.flatnonzero(_ends_member(block)) for start, block in _blocks(self.data)])

    @cached_property
    def _tails(self) -> npt.NDArray[np.uint32]:
        """The last four bytes of each member's name with its quotes, as a number."""
        tails: npt.NDArray[np.uint32] = _words(self.data, "<u4")[np.maximum(self.members - 3, 0)]
        return tails

    def named(self, name: str) -> npt.NDArray[np.int64]:
        """Where those of one name end."""
        whole = f'"{name}"'.encode()
        tail, rest = whole[-4:], whole[:-4]
        at = self.members[self._tails >> 8 * (4 - len(tail)) == int.from_bytes(tail, "little")]
        at = at[at >= len(whole) - 1]
        for back, byte in enumerate(reversed(rest), 4):
            at = at[self.data[at - back] == byte]
        return at

    def per_text(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many of the places are in each text: shape (n,)."""
        return np.diff(np.searchsorted(at, self.offsets)).astype(np.int64)


def _of(records: Records) -> _Texts:
    return _Texts(records.offsets, np.frombuffer(records.data, np.uint8))


def _texts(values: pa.Array | pa.ChunkedArray) -> _Texts:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    values = values.cast(pa.large_binary())
    _, offsets, data = values.buffers()
    if not len(values) or data is None:
        return _Texts(np.zeros(len(values) + 1, np.int64), np.zeros(0, np.uint8))
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    return _Texts(bounds - bounds[0], np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]])


def _ends_member(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether a byte may be the last of a member's name, or of the space behind it; at least every one that is.

    Within a text a quote before a colon is escaped, and counted nonetheless; a space before a colon is, too.
    """
    return (data[1:] == ord(":")) & (data[:-1] <= ord('"'))


def _has_before(records: Records) -> bool:
    """Whether one of a few records tells which item it replaced."""
    step = max(1, len(records) // _SAMPLES)
    return any(_BEFORE in records.raw(index) for index in range(0, len(records), step))


def _find_before(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The places behind the objects that `"before"` follows, in order."""
    at = np.concatenate([
        start + _where((block[:-1] == ord("}")) & (block[1:] == ord(","))) for start, block in _blocks(data)
    ])
    at = at[at + len(_BEFORE) <= len(data)]
    at = at[_words(data, "<u8")[at] == np.frombuffer(_BEFORE, "<u8", 1)]
    return at[_words(data, "<u4")[at + 8] == np.frombuffer(_BEFORE, "<u4", 1, 8)] + 1


def _words(data: npt.NDArray[np.uint8], kind: str) -> npt.NDArray[Any]:
    """The number that the bytes from each place on are."""
    size = np.dtype(kind).itemsize
    return np.ndarray((max(0, len(data) + 1 - size),), kind, data, strides=(1,))


def _where(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Where a mask is true, quick if that is rare: eight at a time are looked at first."""
    whole = len(mask) & ~7
    eights = np.flatnonzero(mask[:whole].view(np.uint64) != 0)
    place = np.flatnonzero(mask[:whole].reshape(-1, 8)[eights])
    return np.concatenate([eights[place >> 3] * 8 + (place & 7), whole + np.flatnonzero(mask[whole:])])


def _blocks(data: npt.NDArray[np.uint8]) -> list[tuple[int, npt.NDArray[np.uint8]]]:
    """Where each block starts, and its bytes with the first one of the next; at least one block."""
    return [(start, data[start : start + _BLOCK + 1]) for start in range(0, max(1, len(data)), _BLOCK)]


def _escaped(texts: _Texts) -> npt.NDArray[np.int64]:
    """Indices of the texts in which a character is written as its number, and may be in a nested value as itself."""
    values = as_values(texts.offsets, texts.data)
    return np.flatnonzero(pc.match_substring(values, "\\u00").to_numpy(zero_copy_only=False))
