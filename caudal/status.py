"""How each stage is doing, measured from the data itself and not from heartbeats."""

import time
from dataclasses import dataclass, field

from caudal.pipeline import Stages
from caudal.supervisor import read_errors

RATE_SECONDS = 60
"""Commits of the last minute make a rate."""


@dataclass
class TableStatus:
    """One table of the lake against its stream."""

    table: str
    source: str
    arrived: int
    """Records in the stream, ever."""
    delivered: int
    """Of these, in the lake, dropped or in quarantine."""
    quarantined: int
    records_per_second: float
    newest_in_stream: int | None
    """When the newest record was appended, microseconds since 1970, UTC."""
    newest_in_lake: int | None
    """Event time of the newest row."""
    lag_seconds: float
    """How long the oldest undelivered record has been waiting; 0 if there is none."""
    paused: str
    """Why the table is not delivered until somebody resumes it; "" if it is."""
    paused_since: int | None
    """When that was, microseconds since 1970, UTC."""

    @property
    def waiting(self) -> int:
        """Records that are not yet in the lake."""
        return self.arrived - self.delivered


@dataclass
class Status:
    """All that `caudal status` shows."""

    tables: list[TableStatus]
    models: dict[str, int | None]
    """Recommender to its live version."""
    errors: dict[str, str]
    """Part of `caudal up` to its last error."""
    stale_seconds: float
    stale: list[str] = field(default_factory=list)
    """Tables whose lag is above the limit."""


def read_status(stages: Stages, now: float | None = None) -> Status:
    """Measure every table. `now` is in seconds since 1970."""
    now = time.time() if now is None else now
    tables = [
        _table(stages, name, table.name, now) for table in stages.pipeline.tables.values() for name in table.lake
    ]
    models: dict[str, int | None] = {}
    for name in stages.pipeline.recommenders:
        live = stages.models.live(name)
        models[name] = live
    limit = stages.config.endpoint.stale_seconds
    status = Status(tables, models, read_errors(stages.config), limit)
    status.stale = [table.table for table in tables if table.lag_seconds > limit]
    return status


def _table(stages: Stages, name: str, source: str, now: float) -> TableStatus:
    snapshot = stages.catalog.snapshot(name)
    waiting, newest, arrived = [], None, 0
    for shard, ends in stages.stream.ends(source).items():
        arrived += ends.next
        done = snapshot.positions.get(shard, 0)
        if ends.next > done:
            first = stages.stream.read(source, shard, max(done, ends.oldest), limit_bytes=1)
            waiting.append(int(first.times[0]) / 1e6)
        if ends.next > ends.oldest:
            last = int(stages.stream.read(source, shard, ends.next - 1, limit_bytes=1).times[0])
            newest = last if newest is None else max(newest, last)
    recent = stages.catalog.commits(name, int((now - RATE_SECONDS) * 1e6) + 1)
    replayed, flow = sum(stages.catalog.replays(name).values()), stages.catalog.flow(name)
    return TableStatus(
        table=name, source=source, arrived=arrived, delivered=sum(snapshot.positions.values()),
        quarantined=stages.catalog.totals(name).quarantined - replayed,
        records_per_second=sum(commit.records for commit in recent) / RATE_SECONDS,
        newest_in_stream=newest, newest_in_lake=snapshot.newest,
        lag_seconds=max(0.0, now - min(waiting)) if waiting else 0.0, paused=flow.paused, paused_since=flow.since or None,
    )
