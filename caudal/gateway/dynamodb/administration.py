"""The DynamoDB API's half about tables: made, described, changed, deleted; their TTL, tags and streams."""

import re
import threading
import time
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from caudal.gateway.cloud import Cloud, Service, refuse
from caudal.gateway.dynamodb import declaring
from caudal.gateway.dynamodb.account import Account
from caudal.gateway.dynamodb.destination import Forwarder
from caudal.gateway.dynamodb.tables import Destination, Index, Streaming, Table, describe
from caudal.gateway.dynamodb.upkeep import Upkeep
from caudal.gateway.dynamodb.values import invalid, invalid_values
from caudal.gateway.faults import AwsError
from caudal.gateway.pages import page_after
from caudal.gateway.tags import Tags, read_tags

Answer = dict[str, Any]

_TTL = re.compile(r"[A-Za-z0-9_.:-]+")


class Administration(Service):
    """What is done to tables as wholes."""

    name = "dynamodb"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.account = Account(cloud)
        self._tags = Tags(cloud.documents, "dynamodb")
        self._forwarder = Forwarder(cloud, self.account)
        self._upkeep = Upkeep(cloud, self.account, self._forwarder)
        self._updating = threading.Lock()

    def start(self) -> None:
        self.account.start()
        self._upkeep.start()
        self._forwarder.start()

    def close(self) -> None:
        self._forwarder.close()
        self._upkeep.close()

    def _described(self, table: Table) -> Answer:
        return describe(table, self.account.arn(table.name), self._upkeep.size(table.name))

    def create_table(
        self, *, TableName: str, StreamSpecification: Answer | None = None, Tags: list[Answer] | None = None,
        BillingMode: str = "PROVISIONED", **given: Any,
    ) -> Answer:
        served = ("AttributeDefinitions", "KeySchema", "LocalSecondaryIndexes", "GlobalSecondaryIndexes", "ProvisionedThroughput",
                  "DeletionProtectionEnabled", "TableClass")
        _refuse({name: value for name, value in given.items() if name not in served})
        for member in ("AttributeDefinitions", "KeySchema"):
            if member not in given:
                raise invalid_values(f"{member} is needed")
        if StreamSpecification is not None:
            _view(StreamSpecification)
        table = declaring.new_table(TableName, {**given, "BillingMode": BillingMode})
        self.account.create(table)
        self._tags.set(self.account.arn(TableName), read_tags(Tags))
        if StreamSpecification is not None and StreamSpecification["StreamEnabled"]:
            table = self._stream(TableName, StreamSpecification)
        return {"TableDescription": self._described(table)}

    def describe_table(self, *, TableName: str) -> Answer:
        return {"Table": self._described(self.account.find(TableName, _no_table(TableName)))}

    def list_tables(self, *, ExclusiveStartTableName: str = "", Limit: int = 100) -> Answer:
        found, last = page_after(((name, name) for name in self.account.names()), ExclusiveStartTableName, Limit)
        return {"TableNames": found, "LastEvaluatedTableName": last}

    def delete_table(self, *, TableName: str) -> Answer:
        table = self.account.find(TableName, _no_table(TableName))
        if table.is_of_pipeline:
            raise invalid(f"{table.name} is a table of the pipeline: take it out of the pipeline's file")
        if table.is_protected:
            arn = self.account.arn(table.name)
            told = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
            raise invalid(f"{told} {arn}")
        table = self.account.remove(table.name)
        self._tags.drop(self.account.arn(table.name))
        return {"TableDescription": self._described(table)}

    def update_table(
        self, *, TableName: str, AttributeDefinitions: list[Answer] | None = None, BillingMode: str | None = None,
        ProvisionedThroughput: Answer | None = None, GlobalSecondaryIndexUpdates: list[Answer] | None = None,
        StreamSpecification: Answer | None = None, DeletionProtectionEnabled: bool | None = None, TableClass: str | None = None,
        **other: Any,
    ) -> Answer:
        _refuse(other)
        table = self.account.find(TableName, _no_table(TableName))
        updates = declaring.index_updates(GlobalSecondaryIndexUpdates or [])
        settings = {name: value for name, value in (
            ("is_protected", DeletionProtectionEnabled), ("table_class", TableClass)) if value is not None}

        def billed(table: Table) -> Table:
            return replace(table, **declaring.billing(table, BillingMode, ProvisionedThroughput, updates), **settings)

        billed(table)  # or refused before anything is done
        if not (updates or settings or BillingMode or ProvisionedThroughput or StreamSpecification):
            raise invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates "
                          "or SSESpecification or ReplicaUpdates is required")
        if StreamSpecification is not None:
            table = self._stream(table.name, StreamSpecification)
        if settings or BillingMode or ProvisionedThroughput:
            table = self.account.change(table.name, billed)
        for kind, given in updates:
            with self._updating:
                table = getattr(self, f"_{kind.lower()}_index")(table.name, given, AttributeDefinitions)
        return {"TableDescription": self._described(table)}

    def _create_index(self, name: str, given: Answer, definitions: list[Answer] | None) -> Table:
        table = self.account.find(name)
        if any(index.name == given["IndexName"] for index in table.indexes):
            raise invalid(f"Attempting to create an index which already exists: {given['IndexName']}")
        types = declaring.with_types(table, definitions)
        made = declaring.new_index(given, table, types)
        indexes = (*table.indexes, made)
        declaring.check_indexes(indexes)
        self.account.store.drop_index(name, made.name)  # one that an earlier process left half made
        self.account.store.index(name, made.name, made.key)
        return self._with_indexes(name, indexes, types)

    def _delete_index(self, name: str, given: Answer, definitions: list[Answer] | None) -> Table:
        table = self.account.find(name)
        gone = next((index for index in table.indexes if index.name == given["IndexName"] and not index.is_local), None)
        if gone is None:
            raise AwsError("ResourceNotFoundException", "Requested resource not found")
        made = self._with_indexes(name, tuple(index for index in table.indexes if index != gone), table.types)
        self.account.store.drop_index(name, gone.name)
        return made

    def _update_index(self, name: str, given: Answer, definitions: list[Answer] | None) -> Table:
        table = self.account.find(name)
        _refuse({member: value for member, value in given.items() if member not in ("IndexName", "ProvisionedThroughput")})
        found = table.index(given["IndexName"])
        changed = replace(found, throughput=declaring.units(given.get("ProvisionedThroughput") or {}))
        return self._with_indexes(name, tuple(changed if index == found else index for index in table.indexes), table.types)

    def _with_indexes(self, name: str, indexes: tuple[Index, ...], types: dict[str, str]) -> Table:
        return self.account.change(name, lambda table: replace(
            table, indexes=indexes, types=declaring.used_types(types, table.key, indexes)))

    def _stream(self, name: str, specification: Answer) -> Table:
        view, stream = _view(specification), self.cloud.stages.stream

        def change(table: Table) -> Table:
            if view and table.stream is not None:
                raise AwsError("ValidationException", f"Table already has an enabled stream: TableName: {name}")
            if view:
                label = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "")
                made = Streaming(name, label, view, table.key, stream.now(name))
                self.account.keep_stream(made)
                return replace(table, stream=made, last_stream=label)
            if table.stream is None:
                raise AwsError("ValidationException", f"Table is already disabled: TableName: {name}")
            self.account.keep_stream(replace(table.stream, until=stream.now(name), ended=time.time()))
            return replace(table, stream=None)

        return self.account.change(name, change)

    def update_time_to_live(self, *, TableName: str, TimeToLiveSpecification: Answer) -> Answer:
        attribute, enabled = TimeToLiveSpecification["AttributeName"], TimeToLiveSpecification["Enabled"]
        table = self.account.find(TableName)
        if not _TTL.fullmatch(attribute):
            raise invalid("caudal serves a TTL attribute whose name is of letters, digits and _ . : -")
        if table.is_of_pipeline:
            raise invalid(f"{table.name} is a table of the pipeline: declare its TTL in the pipeline's file")
        if table.ttl not in ("", attribute):
            raise invalid(f"TimeToLive is active on a different AttributeName: current AttributeName is {table.ttl}")
        if bool(table.ttl) is enabled:
            raise invalid(f"TimeToLive is already {'enabled' if enabled else 'disabled'}")
        ttl = attribute if enabled else ""
        self.account.store.declare(table.name, table.key, self.cloud.stages.config.stream.shards, ttl=ttl)
        self.account.change(table.name, lambda table: replace(table, ttl=ttl))
        return {"TimeToLiveSpecification": TimeToLiveSpecification}

    def describe_time_to_live(self, *, TableName: str) -> Answer:
        ttl = self.account.find(TableName).ttl
        on = {"TimeToLiveStatus": "ENABLED", "AttributeName": ttl}
        return {"TimeToLiveDescription": on if ttl else {"TimeToLiveStatus": "DISABLED"}}

    def tag_resource(self, *, ResourceArn: str, Tags: list[Answer]) -> None:
        self._tags.add(self._tagged(ResourceArn), read_tags(Tags))

    def untag_resource(self, *, ResourceArn: str, TagKeys: list[str]) -> None:
        self._tags.remove(self._tagged(ResourceArn), TagKeys)

    def list_tags_of_resource(self, *, ResourceArn: str, NextToken: str | None = None) -> Answer:
        return {"Tags": self._tags.shown(self._tagged(ResourceArn))}

    def _tagged(self, arn: str) -> str:
        table = self.account.find(arn, f"Requested resource not found: ResourcArn: {arn} not found")
        return self.account.arn(table.name)

    def enable_kinesis_streaming_destination(
        self, *, TableName: str, StreamArn: str, EnableKinesisStreamingConfiguration: Answer | None = None,
    ) -> Answer:
        precision = (EnableKinesisStreamingConfiguration or {}).get("ApproximateCreationDateTimePrecision", "MILLISECOND")
        name = self.account.find(TableName).name
        kinesis = self.cloud.service("kinesis").streams.find(StreamARN=StreamArn).description.name

        def change(table: Table) -> Table:
            if not self._forwarder.is_done(table):
                raise invalid("Table is not in a valid state to enable Kinesis Streaming Destination: "
                              "another is its destination, or changes are still on their way there.")
            return replace(table, destination=self._forwarder.begin(table, kinesis, precision))

        made = self.account.change(name, change).destination
        assert made is not None
        return {**self._destination(name, made, "ENABLING"), "EnableKinesisStreamingConfiguration": _precision(made)}

    def disable_kinesis_streaming_destination(
        self, *, TableName: str, StreamArn: str, EnableKinesisStreamingConfiguration: Answer | None = None,
    ) -> Answer:
        name = self.account.find(TableName).name
        with self._forwarder.held(name):
            made = self._change_destination(name, StreamArn, until=self.cloud.stages.stream.now(name))
        return self._destination(name, made, "DISABLING")

    def update_kinesis_streaming_destination(
        self, *, TableName: str, StreamArn: str, UpdateKinesisStreamingConfiguration: Answer | None = None,
    ) -> Answer:
        precision = (UpdateKinesisStreamingConfiguration or {}).get("ApproximateCreationDateTimePrecision", "MILLISECOND")
        name = self.account.find(TableName).name
        made = self._change_destination(name, StreamArn, precision=precision)
        return {**self._destination(name, made, "UPDATING"), "UpdateKinesisStreamingConfiguration": _precision(made)}

    def _change_destination(self, name: str, arn: str, **changes: Any) -> Destination:
        def change(table: Table) -> Table:
            found = table.destination
            if found is None or not found.active or arn.rpartition("/")[2] != found.stream:
                raise AwsError("ResourceNotFoundException", f"The table {name} has no active Kinesis destination {arn}")
            return replace(table, destination=replace(found, **changes))

        made = self.account.change(name, change).destination
        assert made is not None
        return made

    def describe_kinesis_streaming_destination(self, *, TableName: str) -> Answer:
        table = self.account.find(TableName)
        found = table.destination
        status = "ACTIVE" if found is not None and found.active else "DISABLED" if self._forwarder.is_done(table) else "DISABLING"
        shown = [] if found is None else [{
            "StreamArn": self.cloud.arn("kinesis", f"stream/{found.stream}"), "DestinationStatus": status, **_precision(found)}]
        return {"TableName": table.name, "KinesisDataStreamDestinations": shown}

    def _destination(self, table: str, found: Destination, status: str) -> Answer:
        return {"TableName": table, "StreamArn": self.cloud.arn("kinesis", f"stream/{found.stream}"), "DestinationStatus": status}


def _refuse(options: Answer) -> None:
    refuse({name: value for name, value in options.items() if value != []}, "ValidationException")


def _no_table(name: str) -> str:
    return f"Requested resource not found: Table: {name} not found"


def _precision(found: Destination) -> Answer:
    return {"ApproximateCreationDateTimePrecision": found.precision}


def _view(specification: Answer) -> str:
    """The view that a stream shall have, "" for no stream. Raises AwsError."""
    view: str = specification.get("StreamViewType", "")
    if specification["StreamEnabled"] and not view:
        raise invalid_values("StreamViewType is required when StreamEnabled is true")
    if not specification["StreamEnabled"] and view:
        raise invalid_values("StreamViewType can only be given when StreamEnabled is true")
    return view if specification["StreamEnabled"] else ""
