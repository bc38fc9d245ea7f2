"""What Iceberg tables no longer need: snapshots past a number, their files, and what killed publishers left."""

import time
from collections.abc import Iterable
from pathlib import Path

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

GRACE_SECONDS = 24 * 3600
"""Age from which a file that nothing names is taken for left behind."""


def expire(table: Table, keep: int, folder: Path) -> int:
    """Drop all but the newest `keep` snapshots, and files below `folder` that the rest do not name; returns their number."""
    snapshots = sorted(table.metadata.snapshots, key=lambda snapshot: snapshot.timestamp_ms)
    pinned = {ref.snapshot_id for ref in table.metadata.refs.values()}
    old = [snapshot for snapshot in snapshots[: max(0, len(snapshots) - keep)] if snapshot.snapshot_id not in pinned]
    gone = {snapshot.snapshot_id for snapshot in old}
    seen: dict[str, set[str]] = {}
    needed = _named_by(table, (snapshot for snapshot in snapshots if snapshot.snapshot_id not in gone), folder, seen)
    doomed = _named_by(table, old, folder, seen) - needed
    if old:
        table.maintenance.expire_snapshots().by_ids([snapshot.snapshot_id for snapshot in old]).commit()
    needed |= {_path(table.metadata_location), *(_path(entry.metadata_file) for entry in table.metadata.metadata_log)}
    return _delete([*map(Path, doomed), *_left_behind(folder, needed)])


def _named_by(table: Table, snapshots: Iterable[Snapshot], folder: Path, seen: dict[str, set[str]]) -> set[str]:
    """Paths below `folder` that snapshots need; `seen` keeps what each manifest names."""
    found = set()
    for snapshot in snapshots:
        found.add(_path(snapshot.manifest_list))
        for manifest in snapshot.manifests(table.io):
            path = _path(manifest.manifest_path)
            if path not in seen:
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                seen[path] = {path, *(_path(entry.data_file.file_path) for entry in entries)}
            found |= seen[path]
    return {path for path in found if path.startswith(f"{folder}/")}


def _left_behind(folder: Path, needed: set[str]) -> list[Path]:
    before = time.time() - GRACE_SECONDS
    return [
        path for path in folder.rglob("*")
        if path.is_file() and str(path) not in needed and path.stat().st_mtime < before
    ]


def _delete(paths: list[Path]) -> int:
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)


def _path(location: str) -> str:
    return location.removeprefix("file://")
