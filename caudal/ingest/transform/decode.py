"""From records to typed rows: whole batches at once, and what is not plain one by one, with the reason if it does not fit.

A batch is cut for the machine's cores. Each part is read into columns of the contract's types by compiled code, which takes
numbers from their text, never through a float, and marks the records that it does not take. Those, and the ones with a value
that its column may not hold, are read exactly, record by record.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import SYSTEM, TIMESTAMP, Contract
from caudal.ingest.transform.cast import both, fitting, in_range
from caudal.ingest.transform.debezium import DebeziumForm
from caudal.ingest.transform.dynamodb import DynamodbForm
from caudal.ingest.transform.form import Columns, Form
from caudal.ingest.transform.native import CaudalForm, PlainForm
from caudal.ingest.transform.values import Already, Misfit, exact_row
from caudal.records import Records, Rejected

FORMS: dict[str, type[Form]] = {"caudal": CaudalForm, "plain": PlainForm, "dynamodb": DynamodbForm, "debezium": DebeziumForm}

PART = 1 << 20
"""Bytes from which a batch is cut for one more thread."""

MOST = 1 << 30
"""Bytes from which it is cut even where there is no other thread: offsets of texts have 31 bits."""


@dataclass
class Decoded:
    """Rows and rejections of a run of records, each record in exactly one of them."""

    rows: pa.Table
    rejected: list[Rejected] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    unknown: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Positions of the records that may have a member which is no column; all others have none."""


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
            sum((part.warnings for part in done), Counter()), np.concatenate([part.unknown for part in done]),
        )

    def _decode(self, records: Records) -> Decoded:
        made = Decoded(self.schema.empty_table())
        if not len(records):
            return made
        columns = self._form.columns(records)
        slow = unknown = np.ones(len(records), bool)
        if columns is not None:
            slow = self._misfits(columns)
            unknown = columns.unknown | slow
            for name, where in columns.warnings.items():
                made.warnings[name] += int((where.to_numpy(zero_copy_only=False) & ~slow).sum())
            made.rows = self._table(columns, records)
            if slow.any():
                made.rows = made.rows.filter(pa.array(~slow))
        made.unknown = records.first + np.flatnonzero(unknown)
        if slow.any():
            exact = self._exact(records, np.flatnonzero(slow), made)
            made.rows = pa.concat_tables([made.rows, exact]).sort_by("_position") if len(made.rows) else exact
        made.warnings = +made.warnings
        return made

    def _table(self, columns: Columns, records: Records) -> pa.Table:
        n = len(records)
        system = [
            columns.op, columns.reason, columns.event_time.cast(TIMESTAMP), columns.event_id,
            pa.repeat(pa.scalar(records.shard, pa.int32()), n), pa.array(np.arange(records.first, records.first + n)),
            pa.nulls(n, pa.string()),  # what is unknown is looked for later
        ]
        # Nullability is checked by `_misfits`; until then the columns may hold NULL.
        return pa.Table.from_arrays([*columns.values, *system], schema=self.schema)

    def _misfits(self, columns: Columns) -> npt.NDArray[np.bool_]:
        """Which rows are not to be trusted."""
        fits = both(columns.fits, in_range(columns.event_time))
        for column, values in zip(self.contract.columns, columns.values, strict=True):
            fits = both(fits, fitting(column, values))
            if column.kind == "float":
                fits = both(fits, pc.fill_null(pc.is_finite(values), True))
        misfits: npt.NDArray[np.bool_] = ~pc.fill_null(fits, False).to_numpy(zero_copy_only=False)
        return misfits

    def _exact(self, records: Records, which: npt.NDArray[np.int64], made: Decoded) -> pa.Table:
        """Rows of the records at some indices, read one by one; those that are none go to `made`."""
        rows = []
        for index in which.tolist():
            raw, position, arrived = records.raw(index), records.first + index, int(records.times[index])
            seen: Counter[str] = Counter()
            try:
                rows.append(self._row(raw, records.shard, position, arrived, seen))
                made.warnings += seen
            except Misfit as misfit:
                raw = misfit.raw if isinstance(misfit, Already) else raw
                made.rejected.append(Rejected(records.shard, position, arrived, misfit.reason, misfit.detail, raw))
        return pa.Table.from_pylist(rows, self.schema)

    def _row(self, raw: bytes, shard: int, position: int, arrived: int, warnings: Counter[str]) -> dict[str, object]:
        def warn(name: str) -> None:
            warnings[name] += 1

        seen = self._form.read(raw, shard, position, arrived, warn)
        row = exact_row(self.contract, seen.item, warn)
        values = (seen.op, seen.reason, seen.event_time, seen.event_id, shard, position, None)
        row.update(zip(SYSTEM.names, values, strict=True))
        return row


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(pa.cpu_count(), "decode")


def _parts(records: Records) -> list[Records]:
    """The records cut for the threads: one part each, even in bytes, none smaller than is worth a thread's while."""
    size = len(records.data)
    count = min(max(min(pa.cpu_count(), 1 + size // PART), 1 + size // MOST), len(records))
    cuts = np.searchsorted(records.offsets, np.linspace(0, len(records.data), count + 1)[1:-1])
    bounds = [0, *np.unique(cuts).tolist(), len(records)]
    return [records[start:stop] for start, stop in pairwise(bounds) if stop > start]
