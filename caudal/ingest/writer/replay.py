"""What is in quarantine, and another try for it: with the same identity, so twice is the same as once."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from caudal.errors import Conflict
from caudal.ingest.transform import Transform
from caudal.ingest.writer.objects import put_rows
from caudal.ingest.writer.quarantine import from_bytes
from caudal.lake.catalog import Catalog, LakeTable, Replay
from caudal.lake.files import Files
from caudal.records import Records, Rejected

BATCH = 10_000
"""Records that are replayed in one commit."""

REPLAY_EPOCH = 0
"""In the names of files that no lease holder wrote."""


@dataclass
class Replayed:
    """What a replay did, in records."""

    delivered: int = 0
    dropped: int = 0
    still_rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the others are still in quarantine."""


def waiting(catalog: Catalog, files: Files, table: str) -> Iterator[Rejected]:
    """Records in quarantine that no replay has dealt with, oldest file first."""
    done = catalog.replayed(table)
    for file in catalog.quarantine(table):
        for record in from_bytes(files.get(file.path)):
            if (record.shard, record.position) not in done:
                yield record


def replay(
    catalog: Catalog, files: Files, database: str, table: LakeTable, transform: Transform,
    wanted: Callable[[Rejected], bool] = lambda record: True,
) -> Replayed:
    """Try quarantined records again with today's contract and transform.

    What fits now becomes rows at its old position, and leaves quarantine in the same commit; the rest stays. Two replays
    at once are as one: the later finds the records dealt with.
    """
    total = Replayed()
    batch: list[Rejected] = []
    for record in waiting(catalog, files, table.name):
        if wanted(record):
            batch.append(record)
        if len(batch) == BATCH:
            _replay(catalog, files, database, table, transform, batch, total)
            batch = []
    if batch:
        _replay(catalog, files, database, table, transform, batch, total)
    return total


def _replay(
    catalog: Catalog, files: Files, database: str, table: LakeTable, transform: Transform, batch: list[Rejected], total: Replayed
) -> None:
    rows, replays = [], []
    failed: Counter[str] = Counter()
    for record in batch:
        one = Records.of(record.shard, record.position, [record.raw], record.arrived)
        outcome = transform.apply(one)
        if outcome.rejected:
            failed[outcome.rejected[0].reason] += 1
            continue
        rows.append(outcome.rows)
        replays.append(Replay(record.shard, record.position, "delivered" if outcome.delivered else "dropped"))
    try:
        made = pa.concat_tables(rows) if rows else table.contract.row_schema.empty_table()
        if replays:
            catalog.replay(table.name, replays, put_rows(files, database, table, REPLAY_EPOCH, made), len(made))
    except Conflict:
        # Another replay was faster with some of them: what it left is tried again.
        done = catalog.replayed(table.name)
        left = [record for record in batch if (record.shard, record.position) not in done]
        if len(left) < len(batch):
            _replay(catalog, files, database, table, transform, left, total)
        return
    total.still_rejected += failed.total()
    total.reasons += failed
    total.delivered += sum(r.outcome == "delivered" for r in replays)
    total.dropped += sum(r.outcome == "dropped" for r in replays)
