"""Another try for what is in quarantine: with the same identity, so twice is the same as once."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple

import pyarrow as pa

from caudal.errors import Conflict
from caudal.ingest.transform import Transform
from caudal.ingest.transform.values import Misfit
from caudal.ingest.writer.audit import Edited, put_audit
from caudal.ingest.writer.objects import put_rows
from caudal.ingest.writer.quarantine import EVERY, Filter, waiting
from caudal.lake.catalog import Catalog, LakeTable, Replay
from caudal.lake.files import Files
from caudal.records import Records, Rejected

__all__ = ["Attempt", "Edit", "Line", "Replayed", "discard", "replay", "waiting"]

BATCH = 10_000
"""Records that are dealt with in one commit."""

REPLAY_EPOCH = 0
"""In the names of files that no lease holder wrote."""

Edit = Callable[[Rejected], bytes]
"""Other bytes for a record. Raises Misfit if there are none."""

Line = Callable[[Rejected, bool], bytes | None]
"""Reads a line of an import again: the record that it is in the stream, or None if it was written to the store (True), or
would be (False). Raises Misfit."""


class Attempt(NamedTuple):
    """What became of one record."""

    record: Rejected
    outcome: Literal["delivered", "dropped", "imported", "rejected"]
    reason: str = ""
    detail: str = ""


@dataclass
class Replayed:
    """What a replay did, in records."""

    delivered: int = 0
    dropped: int = 0
    imported: int = 0
    """Lines of an import that were written to the store; its change is delivered like any other."""
    still_rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the others are still in quarantine."""

    def add(self, attempt: Attempt) -> None:
        """Count one more."""
        if attempt.outcome == "rejected":
            self.still_rejected += 1
            self.reasons[attempt.reason] += 1
        else:
            setattr(self, attempt.outcome, getattr(self, attempt.outcome) + 1)


def replay(
    catalog: Catalog, files: Files, database: str, table: LakeTable, transform: Transform, wanted: Filter = EVERY, *,
    line: Line | None = None, edit: Edit | None = None, dry_run: bool = False, tell: Callable[[Attempt], None] = lambda _: None,
) -> Replayed:
    """Try quarantined records again with today's contract and transform.

    What fits now becomes rows at its old position, and leaves quarantine in the same commit; the rest stays. Two replays
    at once are as one: the later finds the records dealt with. `edit` changes the bytes first; the original stays where
    it is, and an audit file keeps both. `line` deals with lines of an import. `tell` hears of each record; with `dry_run`
    that is all that happens.
    """
    work = _Replay(catalog, files, database, table, transform, line, edit, dry_run)
    total = Replayed()
    for batch in _batches(waiting(catalog, files, table.name, wanted)):
        for attempt in work.attempts(batch):
            total.add(attempt)
            tell(attempt)
    return total


def discard(
    catalog: Catalog, files: Files, database: str, table: LakeTable, wanted: Filter, note: str, *, dry_run: bool = False
) -> int:
    """Give records up, with the reason why: they leave quarantine as dropped on purpose. Returns how many."""
    total = 0
    for batch in _batches(waiting(catalog, files, table.name, wanted)):
        while batch and not dry_run:
            audit = put_audit(files, database, table.name, [Edited(record, "discarded", note) for record in batch])
            try:
                catalog.replay(table.name, [Replay(r.shard, r.position, "discarded") for r in batch], [], 0, [audit])
                break
            except Conflict:
                left = _left(catalog, table.name, batch)
                if len(left) == len(batch):
                    raise
                batch = left
        total += len(batch)
    return total


@dataclass(frozen=True)
class _Replay:
    catalog: Catalog
    files: Files
    database: str
    table: LakeTable
    transform: Transform
    line: Line | None
    edit: Edit | None
    dry_run: bool

    def attempts(self, batch: list[Rejected]) -> list[Attempt]:
        """Try the records, and commit those that fit."""
        made: list[Attempt] = []
        records: list[tuple[Rejected, bytes]] = []
        edited: dict[Rejected, bytes] = {}
        for record in batch:
            try:
                now = record
                if self.edit is not None:
                    edited[record] = self.edit(record)
                    now = record._replace(raw=edited[record])
                raw = self.line(now, not self.dry_run) if record.origin and self.line is not None else now.raw
            except Misfit as misfit:
                made.append(Attempt(record, "rejected", misfit.reason, misfit.detail))
            else:
                made.append(Attempt(record, "imported")) if raw is None else records.append((record, raw))
        tables = [self.table.contract.row_schema.empty_table()]
        for run in _runs(records):
            rows, attempts = self._apply(run)
            tables.append(rows)
            made += attempts
        if self.dry_run or self._commit(made, pa.concat_tables(tables), edited):
            return made
        left = _left(self.catalog, self.table.name, batch)  # another replay was faster with some of them
        return self.attempts(left) if left else []

    def _apply(self, run: list[tuple[Rejected, bytes]]) -> tuple[pa.Table, list[Attempt]]:
        """Records that lie next to each other, at once."""
        first = run[0][0]
        records = Records.of(first.shard, first.position, [raw for _, raw in run])
        for index, (record, _) in enumerate(run):
            records.times[index] = record.arrived
        outcome = self.transform.apply(records)
        rejected = {one.position: one for one in outcome.rejected}
        delivered = set(outcome.rows["_position"].to_pylist())
        attempts = []
        for record, _ in run:
            if why := rejected.get(record.position):
                attempts.append(Attempt(record, "rejected", why.reason, why.detail))
            else:
                attempts.append(Attempt(record, "delivered" if record.position in delivered else "dropped"))
        return outcome.rows, attempts

    def _commit(self, attempts: list[Attempt], rows: pa.Table, edited: dict[Rejected, bytes]) -> bool:
        """Show the rows and mark the records; False if somebody marked one of them meanwhile."""
        done = [attempt for attempt in attempts if attempt.outcome != "rejected"]
        if not done:
            return True
        changed = [Edited(one.record, one.outcome, "", edited[one.record]) for one in done if one.record in edited]
        audit = [put_audit(self.files, self.database, self.table.name, changed)] if changed else []
        files = put_rows(self.files, self.database, self.table, REPLAY_EPOCH, rows)
        marks = [Replay(one.record.shard, one.record.position, one.outcome) for one in done if one.outcome != "rejected"]
        try:
            self.catalog.replay(self.table.name, marks, files, len(rows), audit)
        except Conflict:
            if len(_left(self.catalog, self.table.name, [one.record for one in attempts])) == len(attempts):
                raise
            return False
        return True


def _left(catalog: Catalog, table: str, batch: list[Rejected]) -> list[Rejected]:
    done = catalog.replayed(table, [(record.shard, record.position) for record in batch])
    return [record for record in batch if (record.shard, record.position) not in done]


def _batches(records: Iterable[Rejected]) -> Iterator[list[Rejected]]:
    records = iter(records)
    while batch := list(islice(records, BATCH)):
        yield batch


def _runs(records: list[tuple[Rejected, bytes]]) -> Iterator[list[tuple[Rejected, bytes]]]:
    """The records in runs of one shard without gaps."""
    run: list[tuple[Rejected, bytes]] = []
    for one in records:
        if run and (one[0].shard, one[0].position) != (run[-1][0].shard, run[-1][0].position + 1):
            yield run
            run = []
        run.append(one)
    if run:
        yield run
