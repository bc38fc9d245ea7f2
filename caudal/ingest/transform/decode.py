"""From records to typed rows: whole batches at once, and what does not fit one by one, with the reason.

A batch is cut for the machine's cores. Of each part pyarrow reads the JSON straight to Arrow with the contract's types:
numbers from their text, never through a float. When that fails, a quick look at each record finds the suspects, and the
others are read as a batch again; if that fails too, the part is cut in pieces. Suspects and small pieces are read exactly,
record by record.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import SYSTEM, TIMESTAMP, Contract
from caudal.ingest.transform.cast import both, fitting, in_range
from caudal.ingest.transform.debezium import DebeziumForm
from caudal.ingest.transform.dynamodb import DynamodbForm
from caudal.ingest.transform.form import Columns, Form, blanked, parse
from caudal.ingest.transform.native import CaudalForm, PlainForm
from caudal.ingest.transform.values import Already, Misfit, exact_row
from caudal.records import Records, Rejected, as_values

FORMS: dict[str, type[Form]] = {"caudal": CaudalForm, "plain": PlainForm, "dynamodb": DynamodbForm, "debezium": DebeziumForm}

PART = 1 << 20
"""Bytes from which a batch is cut for one more thread."""

PIECES = 8
SMALL = 64
"""Records from which cutting up a batch costs more than reading each."""


@dataclass
class Decoded:
    """Rows and rejections of a run of records, each record in exactly one of them."""

    rows: pa.Table
    rejected: list[Rejected] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)


class Decoder:
    """Reads records of one form as rows of one contract, with the system columns."""

    def __init__(self, contract: Contract, form: str = "caudal") -> None:
        self.contract = contract
        self.schema = contract.row_schema
        self._form = FORMS[form](contract)

    def decode(self, records: Records) -> Decoded:
        """Read every record. Never raises for what is in one."""
        parts = _parts(records)
        if len(parts) < 2:
            return self._decode(records)
        done = list(_threads().map(self._decode, parts))
        return Decoded(
            pa.concat_tables([part.rows for part in done]), [record for part in done for record in part.rejected],
            sum((part.warnings for part in done), Counter()),
        )

    def _decode(self, records: Records) -> Decoded:
        warnings: Counter[str] = Counter()
        tables: list[pa.Table] = []
        rejected: list[Rejected] = []
        if len(records):
            self._read(records, tables, rejected, warnings)
        if len(tables) < 2:
            return Decoded(tables[0] if tables else self.schema.empty_table(), rejected, warnings)
        return Decoded(pa.concat_tables(tables).sort_by("_position"), sorted(rejected, key=lambda r: r.position), warnings)

    def _read(self, records: Records, tables: list[pa.Table], rejected: list[Rejected], warnings: Counter[str]) -> None:
        if not self._form.has_fast_path:
            self._slow(records, np.arange(len(records)), tables, rejected, warnings)
            return
        read = self._fast(_one_a_line(records), np.zeros(0, np.int64))
        if read is None and len(records) > SMALL:
            read = self._fast_without_suspects(records)
        if read is not None:
            misfits = read.misfits
            table = read.table.filter(pa.array(~_mask(len(records), misfits))) if len(misfits) else read.table
            if len(table):
                tables.append(table)
            self._slow(records, misfits, tables, rejected, warnings)
            warnings += read.warnings
        elif len(records) <= SMALL:
            self._slow(records, np.arange(len(records)), tables, rejected, warnings)
        else:
            step = -(-len(records) // PIECES)
            for start in range(0, len(records), step):
                self._read(records[start : start + step], tables, rejected, warnings)

    def _fast_without_suspects(self, records: Records) -> "_Read | None":
        suspects = self._form.suspects(records)
        if not 0 < len(suspects) < len(records):
            return None
        return self._fast(_one_a_line(blanked(records, suspects)), suspects)

    def _fast(self, records: Records, suspects: np.ndarray) -> "_Read | None":
        """The rows, one a record, and which of them must be looked at again; None if the batch does not parse."""
        if not _is_aligned(records) or not _is_utf8(records.data):
            return None
        try:
            columns = self._form.columns(parse(records, self._form.schema), records)
        except pa.ArrowInvalid:
            return None
        misfits = np.union1d(suspects, self._misfits(columns)).astype(np.int64)
        fits = ~_mask(len(records), misfits)
        seen = Counter({
            name: int((where.to_numpy(zero_copy_only=False) & fits).sum()) for name, where in columns.warnings.items()
        })
        return _Read(self._table(columns, records), misfits, +seen)

    def _table(self, columns: Columns, records: Records) -> pa.Table:
        n = len(records)
        system = [
            columns.op, columns.reason, columns.event_time.cast(TIMESTAMP), columns.event_id,
            pa.repeat(pa.scalar(records.shard, pa.int32()), n), pa.array(np.arange(records.first, records.first + n)),
            pa.nulls(n, pa.string()),  # what is unknown is looked for later
        ]
        # Nullability is checked by `_misfits`; until then the columns may hold NULL.
        return pa.Table.from_arrays([*columns.values, *system], schema=self.schema)

    def _misfits(self, columns: Columns) -> np.ndarray:
        fits = both(columns.fits, in_range(columns.event_time))
        for column, values in zip(self.contract.columns, columns.values, strict=True):
            fits = both(fits, fitting(column, values))
            if column.kind == "float":
                fits = both(fits, pc.fill_null(pc.is_finite(values), True))
        if fits is None or fits.false_count == 0:
            return np.zeros(0, np.int64)
        return np.flatnonzero(~fits.to_numpy(zero_copy_only=False))

    def _slow(
        self, records: Records, which: np.ndarray, tables: list[pa.Table], rejected: list[Rejected], warnings: Counter[str]
    ) -> None:
        rows = []
        for index in which.tolist():
            raw, position, arrived = records.raw(index), records.first + index, int(records.times[index])
            seen: Counter[str] = Counter()
            try:
                rows.append(self._row(raw, records.shard, position, arrived, seen))
                warnings += seen
            except Misfit as misfit:
                raw = misfit.raw if isinstance(misfit, Already) else raw
                rejected.append(Rejected(records.shard, position, arrived, misfit.reason, misfit.detail, raw))
        if rows:
            tables.append(pa.Table.from_pylist(rows, self.schema))

    def _row(self, raw: bytes, shard: int, position: int, arrived: int, warnings: Counter[str]) -> dict[str, object]:
        def warn(name: str) -> None:
            warnings[name] += 1

        seen = self._form.read(raw, shard, position, arrived, warn)
        row = exact_row(self.contract, seen.item, warn)
        values = (seen.op, seen.reason, seen.event_time, seen.event_id, shard, position, None)
        row.update(zip(SYSTEM.names, values, strict=True))
        return row


class _Read(NamedTuple):
    """A batch, read fast."""

    table: pa.Table
    """A row a record."""
    misfits: np.ndarray
    """Indices of the rows that are not to be trusted."""
    warnings: Counter[str]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(pa.cpu_count(), "decode")


def _parts(records: Records) -> list[Records]:
    """The records cut for the threads: one part each, even in bytes, none smaller than is worth a thread's while."""
    count = min(pa.cpu_count(), len(records), 1 + len(records.data) // PART)
    cuts = np.searchsorted(records.offsets, np.linspace(0, len(records.data), count + 1)[1:-1])
    bounds = [0, *np.unique(cuts).tolist(), len(records)]
    return [records[start:stop] for start, stop in pairwise(bounds) if stop > start]


def _mask(n: int, where: np.ndarray) -> np.ndarray:
    mask = np.zeros(n, bool)
    mask[where] = True
    return mask


def _is_utf8(data: bytes | memoryview) -> bool:
    try:
        as_values(np.array([0, len(data)]), data).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _is_aligned(records: Records) -> bool:
    """Whether each record starts as an object and ends as one.

    Then no object can span two records (a `}` before a `{` needs a comma between), and as many rows as records means
    one row each.
    """
    lengths = records.lengths
    if lengths.min() < 3:
        return False
    data = np.frombuffer(records.data, np.uint8)
    return bool((data[records.offsets[:-1]] == 0x7B).all() and (data[records.offsets[1:] - 2] == 0x7D).all())


def _one_a_line(records: Records) -> Records:
    """The records, each ending in exactly the newline that pyarrow wants between them."""
    data = np.frombuffer(records.data, np.uint8)
    if records.lengths.min() and (data[records.offsets[1:] - 1] == 0x0A).all():
        return records
    missing = np.ones(len(records), bool)
    filled = records.lengths > 0
    missing[filled] = data[records.offsets[1:][filled] - 1] != 0x0A
    if missing.all():  # one kernel, five times as fast as a tail for each
        texts = as_values(np.append(records.offsets, records.offsets[-1]), records.data)  # an empty one behind the last newline
        whole = pc.binary_join(pa.LargeListArray.from_arrays([0, len(texts)], texts), pa.scalar(b"\n", texts.type))
        offsets = records.offsets + np.arange(len(records) + 1)
        return Records(records.shard, records.first, offsets, memoryview(whole[0].as_buffer()), records.times)
    texts = records.values
    tails = pc.if_else(pa.array(missing), pa.scalar(b"\n", texts.type), pa.scalar(b"", texts.type))
    joined = pc.binary_join_element_wise(texts, tails, pa.scalar(b"", texts.type))
    offsets = np.frombuffer(joined.buffers()[1], np.int64)[joined.offset : joined.offset + len(joined) + 1]
    body = memoryview(joined.buffers()[2])[offsets[0] : offsets[-1]]
    return Records(records.shard, records.first, offsets - offsets[0], body, records.times)
