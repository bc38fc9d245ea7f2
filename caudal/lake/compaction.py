"""Merges the small files of a table: the same rows in fewer files, in commits that move no position."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from caudal.errors import BackendError, Conflict
from caudal.lake.catalog import Catalog, LakeTable, Snapshot, shadow_name
from caudal.lake.files import Files
from caudal.lake.formats import suffix
from caudal.lake.formats.merge import Merger, open_merger, shape
from caudal.lake.objects import new_name, put_object, read_object
from caudal.records import DataFile

TIER = 8
"""Files of about one size that are left to gather before they are merged, and the factor between sizes: so a row is
written again a few times in its life, and not each time that a file comes."""

COMMIT_BYTES = 256 << 20
"""Bytes merged after which what is done so far is committed."""


@dataclass
class Compacted:
    """What a compaction did."""

    files: int = 0
    """Files that were merged."""
    into: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


def plan(snapshot: Snapshot, target: int, all_small: bool) -> list[list[DataFile]]:
    """Runs of files to merge, each of one partition, in the order of their commits; those from before a base come first.

    Files from `target` bytes on stay. With `all_small` the others are merged wherever there are two; without, once
    `TIER` of about one size have come together. Files from before and after a base are kept apart.
    """
    groups: dict[object, list[DataFile]] = defaultdict(list)
    changes = {file.path for file in snapshot.base.changes} if snapshot.base else set()
    for file in snapshot.files:
        if file.bytes < target:
            tier = 0 if all_small else int(math.log(max(file.bytes, 1), TIER))
            groups[file.partition, file.path in changes, tier].append(file)
    runs = [group for group in groups.values() if len(group) >= (2 if all_small else TIER)]
    return sorted(runs, key=lambda run: run[0].path in changes)


def compact(
    catalog: Catalog, files: Files, table: LakeTable, target: int, all_small: bool = True, pretend: bool = False
) -> Compacted:
    """Merge what `plan` names. A file that is not as it was committed stays where it is, and is told of."""
    done = Compacted()
    snapshot = catalog.snapshot(table.name)
    runs = plan(snapshot, target, all_small)
    changes = {file.path for file in snapshot.base.changes} if snapshot.base else set()
    if pretend:
        done.files, done.into = sum(map(len, runs)), len(runs)
        done.bytes = sum(file.bytes for run in runs for file in run)
        return done
    old: list[DataFile] = []
    new: list[DataFile] = []
    for run in runs:
        if old and (old[-1].path in changes) != (run[0].path in changes):  # what is in the base stays apart
            _commit(catalog, files, table, old, new, done)
            old, new = [], []
        try:
            for inputs, made in _merged(files, table, run, target):
                old += inputs
                new.append(made)
        except BackendError as error:
            done.problems.append(f"{table.name}: {error}")
        if sum(file.bytes for file in old) >= COMMIT_BYTES:
            _commit(catalog, files, table, old, new, done)
            old, new = [], []
    _commit(catalog, files, table, old, new, done)
    return done


class _Open:
    """An object that is being made of others."""

    def __init__(self, merger: Merger) -> None:
        self.merger = merger
        self.inputs: list[DataFile] = []


def _merged(files: Files, table: LakeTable, run: list[DataFile], target: int) -> Iterator[tuple[list[DataFile], DataFile]]:
    """Each object made of a run, and what it was made of; files of different columns are not mixed."""
    opened: dict[str, _Open] = {}
    for file in run:
        data = read_object(files, file)
        kind = shape(file.path, data)
        if kind not in opened:
            opened[kind] = _Open(open_merger(_format(file), table.compression))
        opened[kind].merger.add(data)
        opened[kind].inputs.append(file)
        if opened[kind].merger.reaches(target):
            yield from _finish(files, table, opened.pop(kind))
    for left in opened.values():
        yield from _finish(files, table, left)


def _format(file: DataFile) -> str:
    """What the object is, whatever the table shows itself as elsewhere."""
    return "parquet" if file.path.endswith(".parquet") else "csv"


def _finish(files: Files, table: LakeTable, done: _Open) -> Iterator[tuple[list[DataFile], DataFile]]:
    if len(done.inputs) < 2:
        return  # it would be the same file again
    first = done.inputs[0]
    folder = first.path.rpartition("/")[0].replace(f"/{shadow_name(table.name)}", f"/{table.name}", 1)  # it was made anew there
    path = f"{folder}/{new_name(0, suffix(_format(first), table.compression))}"
    rows = sum(file.rows for file in done.inputs)
    yield done.inputs, put_object(files, path, first.partition, done.merger.finish(), rows)


def _commit(
    catalog: Catalog, files: Files, table: LakeTable, old: list[DataFile], new: list[DataFile], done: Compacted
) -> None:
    if not old:
        return
    try:
        catalog.rewrite(table.name, [file.path for file in old], new)
    except Conflict:  # another compaction was faster: what it left is merged the next time
        for file in new:
            files.delete(file.path)
        return
    done.files += len(old)
    done.into += len(new)
    done.bytes += sum(file.bytes for file in old)
