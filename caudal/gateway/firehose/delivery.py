"""One delivery stream at work: gathers records, and delivers them by size or age."""

import contextlib
import json
import time
import uuid
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from caudal.background import Background
from caudal.errors import CaudalError
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.firehose import shaping
from caudal.gateway.firehose.function import Processor
from caudal.gateway.firehose.iceberg.writer import TableWriter
from caudal.gateway.firehose.prefixes import folder, keys_in, zone
from caudal.gateway.firehose.records import Failed, Record
from caudal.gateway.firehose.settings import Settings
from caudal.gateway.firehose.sources import Places, Source

PLACE = "firehose.place"
WAIT_SECONDS = 0.25
GATHER_SECONDS = 0.02
"""How long it lets further records come before it looks again: single ones are no work for it."""
READ_BYTES = 4 << 20
PARTITIONS = 500
"""Partitions at once, where AWS's limits are on."""


class Plan(msgspec.Struct):
    """A delivery that has begun: what it reads and how it names objects, so that whoever repeats it writes the very same ones."""

    start: dict[str, int]
    stop: dict[str, int]
    at: str
    """The time in the objects' names."""
    id: str


class Delivery(Background):
    """Delivers one stream in a thread of its own, each record once: also when the process is killed and starts again."""

    def __init__(self, cloud: Cloud, stream: Document, settings: Settings, source: Source) -> None:
        self._cloud, self._stream, self._settings, self._source = cloud, stream, settings, source
        self._name: str = stream["name"]
        super().__init__(f"firehose-{self._name}", self._step, failed=self._tell)
        self._processor: Processor | None = None
        if settings.function:
            functions, arn = cloud.service("lambda"), cloud.arn("firehose", f"deliverystream/{self._name}")
            self._processor = Processor(
                functions.run, functions.named(settings.function), arn, cloud.region, settings.retries, settings.batch_bytes
            )
        self.error = ""
        """Why the last delivery failed; "" if it did not."""

    def close(self) -> None:
        """Finish the delivery that is at work."""
        super().close()
        if self._processor is not None:
            self._processor.close()

    def _tell(self, error: CaudalError) -> None:
        self.error = str(error)

    def _step(self) -> None:
        """Deliver one buffer; first the one that an earlier process began."""
        document = self._cloud.documents.get(PLACE, self._name) or {"places": {}}
        places = {int(shard): position for shard, position in document["places"].items()}
        if "plan" in document:
            plan = msgspec.convert(document["plan"], Plan)
            records = self._read(places, {int(shard): position for shard, position in plan.stop.items()})
        else:
            records, stop = self._gather(places)
            if not records:
                return
            now = datetime.now(zone(self._settings.time_zone)).strftime("%Y-%m-%d-%H-%M-%S")
            plan = Plan(_named(places), _named(stop), now, str(uuid.uuid4()))
            self._cloud.documents.put(PLACE, self._name, {"places": _named(places), "plan": msgspec.to_builtins(plan)})
        self._deliver(records, plan)
        self._cloud.documents.put(PLACE, self._name, {"places": {**_named(places), **plan.stop}})
        self._source.done({int(shard): position for shard, position in plan.stop.items()})
        self.error = ""

    def _gather(self, places: Places) -> tuple[list[Record], Places]:
        """A buffer's worth of records, once it is full or old; nothing if this is to end."""
        settings, stop = self._settings, dict(places)
        records: list[Record] = []
        size, oldest = 0, 0.0
        while not self.stop.is_set():
            found = False
            for shard, following, read in self._source.read(stop, min(READ_BYTES, settings.buffer_bytes)):
                found, oldest = True, oldest or time.monotonic()
                records += read
                size += sum(len(record.data) for record in read)
                stop[shard] = following
                if size >= settings.buffer_bytes:
                    return records, stop
            age = time.monotonic() - oldest
            if records and age >= settings.buffer_seconds:
                return records, stop
            if found:
                self.stop.wait(min(GATHER_SECONDS, max(0.0, settings.buffer_seconds - age)))
            else:
                self._source.wait(stop, min(WAIT_SECONDS, settings.buffer_seconds - age) if records else WAIT_SECONDS)
        return [], places

    def _read(self, places: Places, stop: Places) -> list[Record]:
        """The records of a delivery that had begun."""
        records: list[Record] = []
        at = dict(places)
        while any(at.get(shard, 0) < position for shard, position in stop.items()):
            for shard, following, read in self._source.read(at, READ_BYTES):
                records += [record for record in read if record.position < stop.get(shard, 0)]
                at[shard] = following
        return records

    def _deliver(self, records: Sequence[Record], plan: Plan) -> None:
        settings = self._settings
        failed: list[Failed] = []
        oldest = datetime.fromtimestamp(min(record.arrived for record in records), UTC)
        if settings.backup is not None:
            self._put(settings.backup, records, oldest, plan, shaping.joiner(settings.backup))
        made = list(shaping.deaggregated(records, settings))
        if self._processor is not None:
            made, failed = self._processor.process(made)
        if settings.query:
            made, bad = shaping.keyed(made, settings.query)
            failed += bad
        if settings.targets is not None:
            failed += TableWriter(self._cloud, settings, self.stop.is_set).write(made, plan.id)
        else:
            shape = shaping.joiner(settings)
            if settings.table is not None:
                shape = shaping.Converter(self._cloud.service("glue").table(*settings.table)).convert
            failed += self._put(settings, made, oldest, plan, shape)
        places: dict[tuple[str, str], list[Failed]] = {}
        for failure in failed:
            prefix = settings.error_prefix or settings.prefix if failure.prefix is None else failure.prefix
            places.setdefault((failure.kind, prefix), []).append(failure)
        for (kind, prefix), some in sorted(places.items()):
            self._put_failed(kind, prefix, some, oldest, plan)

    def _put(
        self, settings: Settings, records: Sequence[Record], oldest: datetime, plan: Plan, shape: shaping.Shape
    ) -> list[Failed]:
        """Write an object for each group of partition keys; what could not be."""
        needed = {name for _, name in keys_in(settings.prefix)} if settings.dynamic else set()
        most = PARTITIONS if self._cloud.stages.config.gateway.limits else None
        groups, bad = shaping.partitioned(records, needed, most)
        local = oldest.astimezone(zone(settings.time_zone))
        for keys, some in groups.items():
            data, unfit = shape(some)
            bad += unfit
            if data:
                by_format = ".parquet" if settings.table else shaping.EXTENSIONS[settings.compression]
                extension = settings.extension or by_format
                name = f"{self._object(plan, json.dumps(keys))}{extension}"
                self._cloud.objects.put(settings.bucket, folder(settings.prefix, local, dict(keys)) + name, data)
        return bad

    def _put_failed(self, kind: str, prefix: str, failed: Sequence[Failed], oldest: datetime, plan: Plan) -> None:
        lines = b"".join(json.dumps(_line(failure, self._settings.function)).encode() + b"\n" for failure in failed)
        name = folder(prefix, oldest.astimezone(zone(self._settings.time_zone)), {}, kind) + self._object(plan, kind + prefix)
        self._cloud.objects.put(self._settings.bucket, name, lines)

    def _object(self, plan: Plan, what: str) -> str:
        """The name of an object: the same whenever this delivery is repeated."""
        return f"{self._name}-{self._stream['version']}-{plan.at}-{uuid.uuid5(uuid.UUID(plan.id), what)}"


def _named(places: Places) -> dict[str, int]:
    return {str(shard): position for shard, position in places.items()}


def _line(failure: Failed, function: str) -> dict[str, Any]:
    """A failure as Firehose writes it."""
    made: dict[str, Any] = {
        "attemptsMade": failure.attempts, "arrivalTimestamp": int(1000 * failure.record.arrived), "errorCode": failure.code,
        "errorMessage": failure.message, "attemptEndingTimestamp": int(1000 * time.time()),
        "rawData": b64encode(failure.record.raw).decode(),
    }
    return {**made, "lambdaArn": function} if function else made


def forget(cloud: Cloud, name: str) -> None:
    """Forget how far a delivery stream came."""
    with contextlib.suppress(CaudalError):
        cloud.documents.remove(PLACE, name)
