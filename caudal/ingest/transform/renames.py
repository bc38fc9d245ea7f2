"""Records that still call a column by an old name: read under the new one.

They are read with the old names as columns of their own, and these are folded into the new ones. A member under the new
name counts, even if it is NULL; else the first old name that is there. Tables without renames do not come here.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Column, Contract
from caudal.ingest.transform.decode import FORMS, Decoded, Decoder
from caudal.ingest.transform.values import Misfit
from caudal.records import Records


class RenamingDecoder:
    """A decoder of a contract in which columns have old names."""

    def __init__(self, contract: Contract, form: str = "caudal") -> None:
        self._contract = contract
        self._renamed = [column for column in contract.columns if column.old_names]
        wide = replace(contract, columns=tuple(_wide(contract)))
        self._wide, self._strict, self._form = Decoder(wide, form), Decoder(contract, form), FORMS[form](wide)
        self._tells_null = form in ("caudal", "plain")  # the others give each column, NULL where there is no member

    def decode(self, records: Records) -> Decoded:
        """Read every record. Never raises for what is in one."""
        read = self._wide.decode(records)
        rows, lacking = self._folded(records, read.rows)
        # What is wrong under an old name is no fault where the new one is there.
        new = {record.position for record in read.rejected if self._is_new(records, record.position - records.first)}
        places = [position - records.first for position in (*lacking, *sorted(new))]
        again = [self._strict.decode(records[place : place + 1]) for place in places]
        rejected = [record for record in read.rejected if record.position not in new]
        rejected += [record for done in again for record in done.rejected]
        made = [rows, *(done.rows for done in again if len(done.rows))]
        return Decoded(
            rows if len(made) == 1 else pa.concat_tables(made).sort_by("_position"),
            sorted(rejected, key=lambda record: record.position), sum((done.warnings for done in again), Counter(read.warnings)),
            np.concatenate([read.unknown, *(done.unknown for done in again)]),
        )

    def _folded(self, records: Records, wide: pa.Table) -> tuple[pa.Table, list[int]]:
        """The rows by the contract, and the positions of those that lack what they need."""
        columns = {}
        lacking = np.zeros(len(wide), bool)
        for column in self._renamed:
            values = wide[column.name].combine_chunks()
            old = pc.coalesce(*(wide[name].combine_chunks() for name in column.old_names))
            use_old = pc.and_(values.is_null(), old.is_valid())
            if pc.any(use_old).as_py():
                emptied = self._emptied(records, wide["_position"], column, use_old)
                values = pc.if_else(pc.and_(use_old, pc.invert(emptied)), old, values)
            if not column.nullable:
                lacking |= values.is_null().to_numpy(zero_copy_only=False)
            columns[column.name] = values
        schema = self._strict.schema
        made = pa.Table.from_arrays([columns.get(name, wide[name]) for name in schema.names], schema=schema)
        if not lacking.any():
            return made, []
        return made.filter(pa.array(~lacking)), wide["_position"].filter(pa.array(lacking)).to_pylist()

    def _emptied(self, records: Records, positions: pa.ChunkedArray, column: Column, use_old: pa.Array) -> pa.Array:
        """Which of the rows `use_old` have the new name, with NULL: looked for where the bytes have it at all."""
        places = pa.array(positions.to_numpy() - records.first)
        maybe = pc.and_(use_old, pc.match_substring(records.values, f'"{column.name}"').take(places))
        emptied = np.zeros(len(places), bool)
        for row in np.flatnonzero(maybe.to_numpy(zero_copy_only=False)).tolist():
            emptied[row] = column.name in self._names(records, places[row].as_py())
        return pa.array(emptied)

    def _is_new(self, records: Records, index: int) -> bool:
        """Whether a record has the new name wherever it has an old one."""
        names = self._names(records, index)
        return bool(names) and all(column.name in names or names.isdisjoint(column.old_names) for column in self._renamed)

    def _names(self, records: Records, index: int) -> frozenset[str]:
        """Names of the members of a record's item, NULL included where the form tells it from none; none if it is unreadable."""
        try:
            seen = self._form.read(records.raw(index), records.shard, records.first + index, 0, lambda _: None)
        except Misfit:
            return frozenset()
        return frozenset(name for name, value in seen.item.items() if value is not None or self._tells_null)


def open_decoder(contract: Contract, form: str) -> Decoder | RenamingDecoder:
    """What reads records of a contract."""
    return RenamingDecoder(contract, form) if contract.renames else Decoder(contract, form)


def _wide(contract: Contract) -> Iterator[Column]:
    for column in contract.columns:
        if not column.old_names:
            yield column
            continue
        yield replace(column, nullable=True)
        for name in column.old_names:
            yield replace(column, name=name, nullable=True, old_names=(), ttl=False)
