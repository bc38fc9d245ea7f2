"""Looks after the data of a pipeline: small files, the current state, old versions, orphans, the stream, expired items.

All of it runs beside writers, queries and another maintenance, and may be killed anywhere.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field

from caudal.errors import CaudalError, NotFound
from caudal.ingest.stream import SupportsRetention
from caudal.lake.catalog import LakeTable, SupportsShadows
from caudal.lake.compaction import compact
from caudal.lake.current import SHARE, is_due, make_base
from caudal.lake.expiry import expire, remove_orphans
from caudal.lake.iceberg import open_publisher
from caudal.lake.query import SupportsStates
from caudal.pipeline import Stages
from caudal.tables import Table

SWEEP = 500
"""Expired items that are deleted in one transaction: other writes wait no longer than for so many."""

FORGET = 5_000
"""Deletes that are forgotten in one transaction."""

BY_HAND_SHARE = 0.01
"""Changes since a base, of its rows, from which `caudal maintain` makes it anew."""


@dataclass
class TableUpkeep:
    """What was done for one table of the lake; with a dry run, what would be."""

    table: str
    merged: int = 0
    """Files that were merged, and into how many."""
    into: int = 0
    merged_bytes: int = 0
    base_keys: int = 0
    """Keys whose latest row was written down, 0 if that was not due; with a dry run, at most how many."""
    versions_expired: int = 0
    objects_removed: int = 0
    """Objects of expired versions, and orphans."""
    orphans: int = 0
    bytes_freed: int = 0


@dataclass
class SourceUpkeep:
    """What was done for one table of the shop and its stream."""

    table: str
    items_expired: int = 0
    records_trimmed: int = 0


@dataclass
class Upkeep:
    """What a maintenance did, and what it could not do."""

    tables: list[TableUpkeep] = field(default_factory=list)
    sources: list[SourceUpkeep] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def maintain(
    stages: Stages, *, by_hand: bool = True, orphans: bool = True, pretend: bool = False, now: float | None = None
) -> Upkeep:
    """Look after every table once.

    `by_hand` merges all small files and makes a base at few changes; without, only as far as it pays when this runs every
    minute. `orphans` also looks for objects that no version names, which lists them all. `pretend` changes nothing. `now`
    is in seconds since 1970. A table that fails is told of, and the others go on.
    """
    done, now = Upkeep(), time.time() if now is None else now
    for table in stages.pipeline.tables.values():
        for lake_table in table.lake.values():
            found = TableUpkeep(lake_table.name)
            done.tables.append(found)
            try:
                _look_after(stages, lake_table, found, done.problems, by_hand, orphans, pretend, now)
            except CaudalError as error:
                done.problems.append(f"{lake_table.name}: {error}")
        source = SourceUpkeep(table.name)
        done.sources.append(source)
        try:
            source.items_expired = _sweep(stages, table, pretend, now)
            _forget(stages, table, pretend, now)
            source.records_trimmed = trim(stages, table, pretend, now)
        except CaudalError as error:
            done.problems.append(f"{table.name}: {error}")
    return done


def _look_after(
    stages: Stages, table: LakeTable, found: TableUpkeep, problems: list[str],
    by_hand: bool, orphans: bool, pretend: bool, now: float,
) -> None:
    settings, catalog, files, name = stages.config.maintain, stages.catalog, stages.files, table.name
    found.base_keys = _renew_base(stages, table, by_hand, pretend)  # first: files before and after a base are not mixed
    merged = compact(catalog, files, table, int(settings.file_mb * (1 << 20)), by_hand, pretend)
    found.merged, found.into, found.merged_bytes = merged.files, merged.into, merged.bytes
    problems += merged.problems
    before = _keep_from(stages, name, now)
    if table.format == "iceberg" and not pretend and expire(catalog, files, name, settings.keep_versions, before, True).objects:
        _publish(stages, name)  # first: its Iceberg tables name the files that are about to go
    freed = expire(catalog, files, name, settings.keep_versions, before, pretend)
    found.versions_expired, found.objects_removed, found.bytes_freed = freed.versions, freed.objects, freed.bytes
    if orphans:
        freed = remove_orphans(catalog, files, stages.pipeline.name, name, _before(now, settings.orphan_hours), pretend)
        found.orphans = freed.objects
        found.objects_removed += freed.objects
        found.bytes_freed += freed.bytes


def _keep_from(stages: Stages, table: str, now: float) -> int:
    """Versions of this time or later stay, microseconds since 1970, UTC.

    With them the one that a live model was trained on, and that of the model that a rollback would bring back.
    """
    settings = stages.config.maintain
    before, oldest = _before(now, settings.keep_hours), _before(now, settings.keep_model_hours)
    for recommender in stages.pipeline.recommenders:
        for card in stages.models.in_use(recommender):
            with suppress(NotFound):  # not of this table, or expired earlier
                committed = stages.catalog.snapshot(table, card.snapshot.get(table, -1)).time
                before = min(before, committed - 1) if committed >= oldest else before
    return before


def _renew_base(stages: Stages, table: LakeTable, by_hand: bool, pretend: bool) -> int:
    if not isinstance(stages.query, SupportsStates) or not table.contract.key or table.contract.foreign:
        return 0
    snapshot = stages.catalog.snapshot(table.name)
    if not is_due(snapshot, BY_HAND_SHARE if by_hand else SHARE):
        return 0
    if pretend:
        return sum(file.rows for file in (snapshot.base.files if snapshot.base else snapshot.files))
    return make_base(stages.catalog, stages.files, stages.query, stages.pipeline.name, snapshot)


def _publish(stages: Stages, name: str) -> None:
    publisher = open_publisher(stages.config, stages.pipeline.name, stages.catalog, stages.files)
    try:
        publisher.publish(name)
    finally:
        publisher.close()


def _before(now: float, hours: float) -> int:
    return int((now - 3600 * hours) * 1e6)


def _sweep(stages: Stages, table: Table, pretend: bool, now: float) -> int:
    """Delete expired items, as changes with the reason ttl; how many."""
    if not table.keyed or not table.contract.ttl:
        return 0
    if pretend:
        return stages.store.count_expired(table.name, now)
    total = 0
    while swept := stages.store.sweep(table.name, now, SWEEP):
        total += swept
    return total


def _forget(stages: Stages, table: Table, pretend: bool, now: float) -> None:
    """Forget deletes that no import will ask for."""
    before = _before(now, stages.config.store.deletes_hours)
    while table.stored and not pretend and stages.store.forget(table.name, before, FORGET):
        pass


def trim(stages: Stages, table: Table, pretend: bool = False, now: float | None = None) -> int:
    """Drop records that every delivery and every rebuild has and that are older than the retention; how many.

    Live state reads them within milliseconds; if it was away for longer than the retention, it starts again from the
    lake, which has them all.
    """
    if not isinstance(stages.stream, SupportsRetention) or pretend:
        return 0
    older = _before(time.time() if now is None else now, stages.config.stream.retention_hours)
    shadows = stages.catalog.shadows() if isinstance(stages.catalog, SupportsShadows) else {}
    readers = [*table.lake, *(shadows[name].name for name in table.lake if name in shadows)]
    reached = [stages.catalog.snapshot(name).positions for name in readers]
    before = {shard: min(p.get(shard, 0) for p in reached) for shard in stages.stream.ends(table.name)}
    start = stages.stream.start(table.name)
    stages.stream.trim(table.name, before, older)
    return sum(offset - start[shard] for shard, offset in stages.stream.start(table.name).items())
