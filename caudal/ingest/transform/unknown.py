"""The rescue column: what records have and their contract does not know.

Hardly any record has some, so the others must cost next to nothing: the members in the bytes of a whole batch are counted,
and held against those that its rows account for. The first count may be too high, never too low, and the second too low,
never too high. So only records for which they differ are looked at, one by one.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract
from caudal.forms import RESCUED
from caudal.ingest.transform.look import read_unknown
from caudal.ingest.transform.members import Places, Texts
from caudal.records import Records

_SAMPLES = 16


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
        if not len(rows):
            return rows, 0
        places = rows["_position"].to_numpy() - records.first
        found = {}
        for row in self._suspects(rows, records, places, images).tolist():
            if text := read_unknown(self._contract, records.raw(int(places[row]))):
                found[row] = text
        if not found:
            return rows, 0
        mask = np.zeros(len(rows), bool)
        mask[list(found)] = True
        texts = pc.replace_with_mask(pa.nulls(len(rows), pa.string()), mask, pa.array(found.values(), pa.string()))
        column = rows.schema.get_field_index(RESCUED)
        return rows.set_column(column, rows.schema.field(column), texts), len(found)

    def _suspects(self, rows: pa.Table, records: Records, places: Places, images: pa.ChunkedArray | None) -> Places:
        """Indices of the rows whose record may have unknown members."""
        if self._form == "debezium" or (self._form == "dynamodb" and (self._json or self._bytes)):
            return np.arange(len(rows))  # these have been read one by one anyway
        if images is not None:
            texts, odd = Texts.of(images), np.flatnonzero(images.is_null().to_numpy())
        else:
            whole = len(rows) == len(records)
            texts = Texts.of_records(records) if whole else Texts.of(records.values.take(pa.array(places)))
            odd = _escaped(texts) if self._json else places[:0]
        if self._form == "caudal" and _replaces(records):  # else those that do are looked at
            texts, doubtful = self._items(texts)
            odd = np.union1d(odd, doubtful)
        # Bytes come in two ways, and the rows do not tell which.
        if not len(odd) and not self._bytes and texts.count() == self._known(rows):
            return odd
        return np.union1d(odd, np.flatnonzero(texts.per_text(texts.names) - self._known_each(rows, texts)))

    def _items(self, texts: Texts) -> tuple[Texts, Places]:
        """The records without the items that they replaced, and the indices of those where that is not sure."""
        cut, which = texts.until_before()
        if not self._json and not self._bytes:
            return cut, which[:0]
        # An attribute that is called "before" may stand behind a nested value: then more than one object is open there.
        opened = int(np.count_nonzero(cut.data == ord("{"))) - int(np.count_nonzero(cut.data == ord("}")))
        return cut, which[:0] if opened == len(which) else which

    def _known(self, rows: pa.Table) -> int:
        """Members that the rows account for, all together."""
        columns = sum(len(rows) - int(rows[column.name].null_count) for column in self._contract.columns)
        reasons = len(rows) - int(rows["_reason"].null_count) if self._around else 0
        nested = sum(Texts.of(rows[name]).count() for name in self._json)
        return self._around * len(rows) + reasons + self._each * columns + nested

    def _known_each(self, rows: pa.Table, texts: Texts) -> Places:
        """Members that each row accounts for, with those that are there and have no value."""
        nested = [Texts.of(rows[name]) for name in self._json]
        made = np.full(len(rows), self._around, np.int64)
        if self._around:
            made += rows["_reason"].is_valid().to_numpy()
        for column in self._contract.columns:
            there = rows[column.name].is_valid().to_numpy()
            if rows[column.name].null_count:
                there = there | (_named(column.name, texts, nested) > 0)
            made += self._each * there
        for inner in nested:
            made += inner.per_text(inner.names)
        if self._bytes:
            values = sum(rows[name].is_valid().to_numpy().astype(np.int64) for name in self._bytes)
            made += np.minimum(values, _named("$bytes", texts, nested))
        return made


def _named(name: str, texts: Texts, nested: Sequence[Texts]) -> Places:
    """How many members of each text have a name, without those inside of nested columns."""
    found = texts.per_text(texts.named(name))
    for inner in nested:
        found = found - inner.per_text(inner.named(name))
    return found


def _replaces(records: Records) -> bool:
    """Whether one of a few records says which item it replaced: then many do."""
    step = max(1, len(records) // _SAMPLES)
    return any(b'},"before":{' in records.raw(index) for index in range(0, len(records), step))


def _escaped(texts: Texts) -> Places:
    """Indices of the texts that have a character as its number: it may stand in a nested column as itself, and count there."""
    return np.flatnonzero(pc.match_substring(texts.values, "\\u00").to_numpy(zero_copy_only=False))
