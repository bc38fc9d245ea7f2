"""How far an Iceberg table is: kept in its snapshots' summaries, and committed with the files it stands for."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction

from caudal.lake.catalog import ChangedFile, Snapshot
from caudal.lake.iceberg.replacing import Change, replace_files
from caudal.records import Positions

_VERSION, _POSITIONS = "caudal.version", "caudal.positions"


class Mark(NamedTuple):
    """The version of the lake's table that an Iceberg table shows."""

    version: int
    positions: Positions
    """Shard to the position up to which records are in it."""


@dataclass(frozen=True)
class Publication:
    """What bringing an Iceberg table up to date starts from."""

    table: Table
    tx: Transaction
    snapshot: Snapshot
    """Of the lake's table: where to."""
    mark: Mark | None
    """From where; None to make it from the snapshot anew."""
    changed: list[ChangedFile]
    """Files of the lake that came or went since the mark."""

    def live(self) -> dict[str, DataFile]:
        """Location to data file, of all that the Iceberg table has."""
        return {task.file.file_path: task.file for task in self.table.scan().plan_files()}


def read_mark(table: Table) -> Mark | None:
    """The mark of the newest snapshot that has one: engines that rewrite files add snapshots of their own."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        if snapshot.summary is not None and _VERSION in snapshot.summary.additional_properties:
            found = snapshot.summary.additional_properties
            return Mark(int(found[_VERSION]), msgspec.json.decode(found[_POSITIONS], type=Positions))
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return None


def commit_files(tx: Transaction, change: Change, mark: Mark) -> None:
    """Make a change visible in one snapshot, together with its mark."""
    properties = {_VERSION: str(mark.version), _POSITIONS: msgspec.json.encode(mark.positions).decode()}
    replace_files(tx, change, properties)
