"""The Kinesis API's other half: streams, their shards, retention and tags."""

from datetime import UTC, datetime
from typing import Any

from caudal.gateway.cloud import Cloud, Service, refuse
from caudal.gateway.faults import AwsError
from caudal.gateway.kinesis.consumers import Consumers
from caudal.gateway.kinesis.shards import Description, Shard
from caudal.gateway.kinesis.streams import Live, Streams
from caudal.gateway.tags import Tags

Answer = dict[str, Any]

ON_DEMAND_SHARDS = 4


class Administration(Service):
    """What is done to streams as wholes."""

    name = "kinesis"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.streams = Streams(cloud)
        self._consumers = Consumers(cloud.documents)
        self._tags = Tags(cloud.documents, "kinesis")

    def arn(self, description: Description) -> str:
        """A stream's ARN."""
        return self.cloud.arn("kinesis", f"stream/{description.name}")

    def create_stream(
        self, *, StreamName: str, ShardCount: int | None = None, StreamModeDetails: Answer | None = None,
        Tags: dict[str, str] | None = None, MaxRecordSizeInKiB: int = 1024, **other: Any,
    ) -> None:
        refuse(other)
        on_demand = (StreamModeDetails or {}).get("StreamMode", "PROVISIONED" if ShardCount else "ON_DEMAND") == "ON_DEMAND"
        if on_demand and ShardCount:
            raise AwsError("InvalidArgumentException", "ShardCount must not be specified for a stream in ON_DEMAND mode.")
        if not on_demand and not ShardCount:
            raise AwsError("InvalidArgumentException", "ShardCount must be specified for a stream in PROVISIONED mode.")
        self.streams.create(StreamName, ShardCount or ON_DEMAND_SHARDS, on_demand, MaxRecordSizeInKiB)
        self._tags.set(StreamName, Tags or {})

    def delete_stream(self, *, EnforceConsumerDeletion: bool = False, **which: str) -> None:
        live = self._find(which)
        name = live.description.name
        consumers = self._consumers.of(name)
        if consumers and not EnforceConsumerDeletion:
            told = f"Stream {name} has {len(consumers)} registered consumers: deregister them, or set EnforceConsumerDeletion."
            raise AwsError("ResourceInUseException", told)
        for consumer in consumers:
            self._consumers.remove(consumer)
        self.streams.remove(live)
        self._tags.drop(name)

    def list_streams(
        self, *, Limit: int = 100, ExclusiveStartStreamName: str = "", NextToken: str | None = None, **other: Any
    ) -> Answer:
        refuse(other)
        names = self.streams.names(NextToken or ExclusiveStartStreamName, Limit + 1)
        more = len(names) > Limit
        names = names[:Limit]
        summaries = [self._summary(self.streams.find(name).description) for name in names]
        token = names[-1] if more else None
        return {"StreamNames": names, "HasMoreStreams": more, "NextToken": token, "StreamSummaries": summaries}

    def _summary(self, description: Description) -> Answer:
        return {
            "StreamName": description.name, "StreamARN": self.arn(description), "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "ON_DEMAND" if description.on_demand else "PROVISIONED"},
            "StreamCreationTimestamp": datetime.fromtimestamp(description.created, UTC),
        }

    def _described(self, description: Description) -> Answer:
        return {
            **self._summary(description), "RetentionPeriodHours": description.retention_hours,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}], "EncryptionType": "NONE",
        }

    def describe_stream(self, *, Limit: int = 100, ExclusiveStartShardId: str = "", **which: str) -> Answer:
        description = self._find(which).description
        shards = [shard for shard in description.listed if shard.id > ExclusiveStartShardId]
        return {"StreamDescription": {
            **self._described(description), "HasMoreShards": len(shards) > Limit,
            "Shards": [shard.described() for shard in shards[:Limit]],
        }}

    def describe_stream_summary(self, **which: str) -> Answer:
        description = self._find(which).description
        return {"StreamDescriptionSummary": {
            **self._described(description), "OpenShardCount": len(description.open), "MaxRecordSizeInKiB": description.record_kib,
            "ConsumerCount": len(self._consumers.of(description.name)),
        }}

    def list_shards(
        self, *, NextToken: str | None = None, ExclusiveStartShardId: str = "", MaxResults: int = 1000,
        ShardFilter: Answer | None = None, StreamCreationTimestamp: datetime | None = None, **which: str,
    ) -> Answer:
        if NextToken is not None:
            which, ExclusiveStartShardId = {"StreamName": NextToken.partition("/")[0]}, NextToken.partition("/")[2]
        description = self._find(which).description
        shards = [s for s in _filtered(description, ShardFilter or {}) if s.id > ExclusiveStartShardId]
        more = f"{description.name}/{shards[MaxResults - 1].id}" if len(shards) > MaxResults else None
        return {"Shards": [shard.described() for shard in shards[:MaxResults]], "NextToken": more}

    def split_shard(self, *, ShardToSplit: str, NewStartingHashKey: str, **which: str) -> None:
        self.streams.split(self._find(which), ShardToSplit, int(NewStartingHashKey))

    def merge_shards(self, *, ShardToMerge: str, AdjacentShardToMerge: str, **which: str) -> None:
        self.streams.merge(self._find(which), ShardToMerge, AdjacentShardToMerge)

    def update_shard_count(self, *, TargetShardCount: int, ScalingType: str, **which: str) -> Answer:
        live = self._find(which)
        now = len(live.description.open)
        if self.cloud.stages.config.gateway.limits and not now / 2 <= TargetShardCount <= now * 2:
            told = f"UpdateShardCount cannot scale from {now} to {TargetShardCount} shards: it must be between half and double."
            raise AwsError("InvalidArgumentException", told)
        self.streams.resize(live, TargetShardCount)
        return {"StreamName": live.description.name, "CurrentShardCount": now, "TargetShardCount": TargetShardCount,
                "StreamARN": self.arn(live.description)}

    def update_stream_mode(self, *, StreamARN: str, StreamModeDetails: Answer, **other: Any) -> None:
        refuse(other)
        self.streams.set(self._find({"StreamARN": StreamARN}), on_demand=StreamModeDetails["StreamMode"] == "ON_DEMAND")

    def update_max_record_size(self, *, MaxRecordSizeInKiB: int, **which: str) -> None:
        self.streams.set(self._find(which), record_kib=MaxRecordSizeInKiB)

    def increase_stream_retention_period(self, *, RetentionPeriodHours: int, **which: str) -> None:
        self._retain(self._find(which), RetentionPeriodHours, at_least=True)

    def decrease_stream_retention_period(self, *, RetentionPeriodHours: int, **which: str) -> None:
        self._retain(self._find(which), RetentionPeriodHours, at_least=False)

    def _retain(self, live: Live, hours: int, at_least: bool) -> None:
        now = live.description.retention_hours
        if not 24 <= hours <= 8760 or (hours < now if at_least else hours > now):
            told = f"Requested retention period ({hours} hours) for stream {live.description.name} can not be"
            told += f" {'shorter' if at_least else 'longer'} than existing retention period ({now} hours)"
            raise AwsError("InvalidArgumentException", f"{told}, and is 24 to 8760 hours.")
        self.streams.set(live, retention_hours=hours)

    def describe_limits(self) -> Answer:
        descriptions = [self.streams.find(name).description for name in self.streams.names()]
        on_demand = sum(description.on_demand for description in descriptions)
        return {"ShardLimit": 20_000, "OpenShardCount": sum(len(description.open) for description in descriptions),
                "OnDemandStreamCount": on_demand, "OnDemandStreamCountLimit": 50}

    def add_tags_to_stream(self, *, Tags: dict[str, str], **which: str) -> None:
        self._tags.add(self._find(which).description.name, Tags)

    def remove_tags_from_stream(self, *, TagKeys: list[str], **which: str) -> None:
        self._tags.remove(self._find(which).description.name, TagKeys)

    def list_tags_for_stream(self, *, ExclusiveStartTagKey: str = "", Limit: int = 50, **which: str) -> Answer:
        return self._tags.page(self._find(which).description.name, ExclusiveStartTagKey, Limit)

    def _find(self, which: dict[str, Any]) -> Live:
        known = {name: which.pop(name, None) for name in ("StreamName", "StreamARN")}
        refuse(which)
        return self.streams.find(**known)


def _filtered(description: Description, wanted: Answer) -> list[Shard]:
    """The shards that ListShards' filter names. Raises AwsError."""
    kind = wanted.get("Type")
    if kind in (None, "FROM_TRIM_HORIZON"):
        return description.listed
    if kind == "AT_LATEST":
        return [shard for shard in description.shards if shard.end is None]
    if kind == "AFTER_SHARD_ID":
        if "ShardId" not in wanted:
            raise AwsError("InvalidArgumentException", "ShardId must be specified with AFTER_SHARD_ID")
        return [shard for shard in description.listed if shard.id > wanted["ShardId"]]
    if kind == "AT_TRIM_HORIZON":
        parents = {number for shard in description.listed for number in (shard.parent, shard.adjacent)}
        numbers = {shard.number for shard in description.listed}
        return [shard for shard in description.listed if shard.parent not in numbers] if parents else description.listed
    at = wanted.get("Timestamp")
    if at is None:
        raise AwsError("InvalidArgumentException", f"Timestamp must be specified with {kind}")
    alive = [shard for shard in description.listed if shard.end is None or shard.closed > at.timestamp()]
    return alive if kind == "FROM_TIMESTAMP" else [s for s in alive if _opened(description, s) <= at.timestamp()] or alive


def _opened(description: Description, shard: Shard) -> float:
    return description.created if shard.parent is None else description.shards[shard.parent].closed
