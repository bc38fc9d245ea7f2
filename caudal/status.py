"""How each stage is doing, measured from the data itself and not from heartbeats."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from caudal.errors import CaudalError
from caudal.forms import RESCUED
from caudal.ingest.stream import SupportsBackpressure
from caudal.ingest.stream.gate import MB, SLOW_FROM
from caudal.lake.catalog import CommitInfo
from caudal.pipeline import Stages
from caudal.rebuild import Rebuilt, rebuilds
from caudal.supervisor import read_errors
from caudal.tables import Table

RATE_SECONDS = 60
"""Commits of the last minute make a rate."""

TEXT_BYTES = 256 << 20
"""Of CSV, up to which rows with unknown members are counted: they are read whole for it."""


class _Record(msgspec.Struct):
    time: int = 0


_record = msgspec.json.Decoder(_Record)


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
    unknown: int | None
    """Rows of the lake that keep members which the contract does not know; None if that cannot be told, or not soon."""
    records_per_second: float
    newest_in_store: int | None
    """When the newest change or event happened, microseconds since 1970, UTC; None if another system's records do not say."""
    newest_in_stream: int | None
    """When the newest record was appended."""
    newest_in_lake: int | None
    """Event time of the newest row."""
    lag_seconds: float
    """How long the oldest undelivered record has been waiting; 0 if there is none."""
    waiting_bytes: int
    """Of the records that are not yet in the lake; 0 if the stream does not tell."""
    full: float
    """That, of the limit stream.waiting_mb: writes are slowed down from 0.75 on, and refused from 1."""
    reason: str
    """Why records wait, as far as something can be done about it; "" if none do, or all is as it should be."""
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
    rebuilds: list[Rebuilt] = field(default_factory=list)
    """Tables that are being made anew, or wait to be swapped."""


def read_status(stages: Stages, now: float | None = None) -> Status:
    """Measure every table. `now` is in seconds since 1970."""
    now, errors = time.time() if now is None else now, read_errors(stages.config)
    tables = [
        _table(stages, name, table.name, unknown, now, errors)
        for table in stages.pipeline.tables.values() for unknown in [_unknown(stages, table)] for name in table.lake
    ]
    models: dict[str, int | None] = {}
    for name in stages.pipeline.recommenders:
        live = stages.models.live(name)
        models[name] = live
    limit = stages.config.endpoint.stale_seconds
    status = Status(tables, models, errors, limit, rebuilds=rebuilds(stages))
    status.stale = [table.table for table in tables if table.lag_seconds > limit]
    return status


def _unknown(stages: Stages, table: Table) -> int | None:
    """How many records of a table had unknown members: of a delivery without a function, for those leave out what they will."""
    plain = [stages.catalog.snapshot(name) for name, delivery in table.deliveries.items() if delivery.transform is None]
    columnar = [snapshot for snapshot in plain if snapshot.table.format in ("parquet", "iceberg")]
    for snapshot in columnar or [one for one in plain if sum(file.bytes for file in one.files) < TEXT_BYTES]:
        name = snapshot.table.name
        with suppress(CaudalError):  # `caudal verify` says what is wrong with its files
            sql = f"SELECT count({RESCUED}) AS rows FROM {name}{'_history' if table.contract.key else ''}"
            return int(stages.query.execute(sql, versions={name: snapshot.version})["rows"][0].as_py())
    return None


def _table(stages: Stages, name: str, source: str, unknown: int | None, now: float, errors: dict[str, str]) -> TableStatus:
    snapshot, stream = stages.catalog.snapshot(name), stages.stream
    waiting, newest, happened, arrived = [], [], [], 0
    for shard, ends in stream.ends(source).items():
        arrived += ends.next
        done = snapshot.positions.get(shard, 0)
        if ends.next > done:
            first = stream.read(source, shard, max(done, ends.oldest), limit_bytes=1)
            waiting.append(int(first.times[0]) / 1e6)
        if ends.next > ends.oldest:
            last = stream.read(source, shard, ends.next - 1, limit_bytes=1)
            newest.append(int(last.times[0]))
            happened += _event_time(last.raw(0))
    recent = stages.catalog.commits(name, int((now - RATE_SECONDS) * 1e6) + 1)
    replayed, flow = sum(stages.catalog.replays(name).values()), stages.catalog.flow(name)
    limit = stages.config.stream.waiting_mb * MB
    bytes_ = stream.waiting_bytes(source, snapshot.positions) if isinstance(stream, SupportsBackpressure) else 0
    found = TableStatus(
        table=name, source=source, arrived=arrived, delivered=sum(snapshot.positions.values()),
        quarantined=stages.catalog.totals(name).quarantined - replayed,
        unknown=unknown, records_per_second=sum(commit.records for commit in recent) / RATE_SECONDS,
        newest_in_store=max(happened, default=None), newest_in_stream=max(newest, default=None), newest_in_lake=snapshot.newest,
        lag_seconds=max(0.0, now - min(waiting)) if waiting else 0.0, waiting_bytes=bytes_, full=bytes_ / limit if limit else 0.0,
        reason="", paused=flow.paused, paused_since=flow.since or None,
    )
    found.reason = "; ".join(_reasons(stages, found, recent, errors))
    return found


def _event_time(raw: bytes) -> list[int]:
    """When the change or event of a record happened, if it is one of caudal's own."""
    try:
        return [at] if (at := _record.decode(raw).time) else []
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []


def _reasons(stages: Stages, table: TableStatus, recent: list[CommitInfo], errors: dict[str, str]) -> Iterator[str]:
    """Why the records of a table wait, or do not become rows; the causes first."""
    free, stream = stages.config.stream.free_mb * MB, stages.stream
    if isinstance(stream, SupportsBackpressure) and stream.free_bytes() < free:
        yield f"its disk is nearly full: below {free / MB:g} MB (stream.free_mb) nothing is written"
    if table.paused:
        yield f"its error budget has paused it: {table.paused}; `caudal resume {table.table}` goes on"
    elif table.waiting and (error := errors.get(f"writer {table.table}") or errors.get("writer")):
        yield f"its writer fails: {error}"
    elif table.waiting and not stages.catalog.holder(table.table).owner:
        yield "no writer runs; `caudal up` delivers, or `caudal flush` once"
    elif table.lag_seconds > stages.config.endpoint.stale_seconds:
        yield f"more arrives than is delivered: {table.records_per_second:,.1f} records/s"
    if table.full >= SLOW_FROM:
        yield (f"{table.waiting_bytes / MB:,.1f} MB wait, {table.full:.0%} of stream.waiting_mb: "
               f"writes are {'refused' if table.full >= 1 else 'slowed down'}")
    records, rejected = sum(commit.records for commit in recent), sum(commit.quarantined for commit in recent)
    if rejected * 2 > records:
        yield (f"{rejected:,} of the last {records:,} records went to quarantine: its transform or its contract refuses them; "
               f"`caudal quarantine list {table.table}`")
