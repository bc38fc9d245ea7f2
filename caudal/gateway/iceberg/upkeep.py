"""What Iceberg tables in S3 no longer need: old snapshots, and the files that no snapshot names."""

import time
from collections.abc import Iterable

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot


def locations_of(table: Table) -> set[str]:
    """Every file that a table's metadata names, itself included."""
    return named_by(table, table.snapshots(), {}) | {
        table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log),
        *(one.statistics_path for one in (*table.metadata.statistics, *table.metadata.partition_statistics))}


def named_by(table: Table, snapshots: Iterable[Snapshot], seen: dict[str, set[str]]) -> set[str]:
    """Files that snapshots need; `seen` keeps what each manifest names."""
    found = set()
    for snapshot in snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            path = manifest.manifest_path
            if path not in seen:
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                seen[path] = {path, *(entry.data_file.file_path for entry in entries)}
            found |= seen[path]
    return found


def expired(table: Table, keep: int, seconds: float) -> list[int]:
    """Ids of the snapshots past an age, but for the newest `keep` and those that a branch or tag names."""
    before = (time.time() - seconds) * 1000
    pinned = {ref.snapshot_id for ref in table.metadata.refs.values()}
    newest = sorted(table.metadata.snapshots, key=lambda one: one.timestamp_ms, reverse=True)
    return [one.snapshot_id for one in newest[keep:] if one.timestamp_ms < before and one.snapshot_id not in pinned]


def unnamed(table: Table, listed: Iterable[tuple[str, float]], before: float) -> set[str]:
    """Of the objects of a table's folder, those that are older than a time and that its metadata does not name."""
    needed = locations_of(table)
    there = {location for location, modified in listed if modified < before}
    return {place for place in there if place not in needed and place.replace("s3://", "s3a://", 1) not in needed}
