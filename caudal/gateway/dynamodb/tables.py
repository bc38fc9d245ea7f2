"""What a DynamoDB table is: its key, its indexes, its stream; and what an item and a key of it must be."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from caudal.gateway.dynamodb.values import EMPTY_KEY, invalid, invalid_values, kind_of, size_of
from caudal.ingest.store.port import Store
from caudal.records import Item
from caudal.tables import Table as PipelineTable

HASH_BYTES, RANGE_BYTES = 2048, 1024
_KINDS = {"string": "S", "date": "S", "timestamp": "S", "int": "N", "decimal": "N", "bytes": "B"}
"""Kind of a contract's column to the type that its key has here."""


class Index(msgspec.Struct, frozen=True):
    """A secondary index."""

    name: str
    key: tuple[str, ...]
    """Names of its partition key and, if it has one, its sort key."""
    is_local: bool
    projection: str = "ALL"
    """ALL, KEYS_ONLY or INCLUDE."""
    included: tuple[str, ...] = ()
    throughput: tuple[int, int] = (0, 0)


class Streaming(msgspec.Struct, frozen=True):
    """A stream of a table's changes, from when it was switched on."""

    table: str
    label: str
    view: str
    key: tuple[str, ...]
    since: dict[int, int]
    """Shard to the position of its first record."""
    until: dict[int, int] = {}
    """Shard to the position after its last, once it is switched off."""
    ended: float = 0.0
    """When that was, seconds since 1970."""


class Destination(msgspec.Struct, frozen=True):
    """A Kinesis stream that a table's changes go to."""

    stream: str
    """Its name."""
    journal: str
    """Name of the stream, beside its records, that says how far they reach."""
    since: dict[int, int]
    until: dict[int, int] | None = None
    """Once it is switched off, the positions after the last records that go there."""
    precision: str = "MILLISECOND"

    @property
    def active(self) -> bool:
        """Whether it is switched on."""
        return self.until is None


class Table(msgspec.Struct, frozen=True):
    """A table, as its document says."""

    name: str
    id: str
    created: float
    key: tuple[str, ...]
    """Names of its partition key and, if it has one, its sort key."""
    types: dict[str, str]
    """Attribute of a key to its type: S, N or B."""
    indexes: tuple[Index, ...] = ()
    on_demand: bool = True
    throughput: tuple[int, int] = (0, 0)
    stream: Streaming | None = None
    last_stream: str = ""
    """Label of the last stream that it had."""
    destination: Destination | None = None
    ttl: str = ""
    is_protected: bool = False
    table_class: str = "STANDARD"
    is_of_pipeline: bool = False
    is_deleting: bool = False

    def index(self, name: str) -> Index:
        """The index of that name. Raises AwsError."""
        for index in self.indexes:
            if index.name == name:
                return index
        raise invalid(f"The table does not have the specified index: {name}")

    def held(self, index: Index) -> frozenset[str] | None:
        """Names of what an index holds of each item; None for all."""
        return None if index.projection == "ALL" else frozenset({*self.key, *index.key, *index.included})

    def key_of(self, item: Item) -> tuple[Any, ...]:
        """The key's values of an item that is checked."""
        return tuple(item[name] for name in self.key)

    def check_item(self, item: Item) -> None:
        """Raises AwsError for an item whose keys are not as the table and its indexes have them."""
        for name in self.key:
            if name not in item:
                raise invalid_values(f"Missing the key {name} in the item")
            if (kind := kind_of(item[name])) != self.types[name]:
                raise invalid_values(f"Type mismatch for key {name} expected: {self.types[name]} actual: {kind}")
        self._check_parts(item)
        if self.indexes:
            self.check_indexes(item)

    def check_indexes(self, item: Item) -> None:
        """Raises AwsError for an item whose attributes do not fit the indexes that they are keys of."""
        for index in self.indexes:
            for name in index.key:
                if name not in item:
                    continue
                if (kind := kind_of(item[name])) != self.types[name]:
                    told = f"Type mismatch for Index Key {name} Expected: {self.types[name]} Actual: {kind}"
                    raise invalid_values(f"{told} IndexName: {index.name}")
                if item[name] in ("", b""):
                    told = EMPTY_KEY.replace(". ", ". A value specified for a secondary index key is not supported. ")
                    raise invalid(f"{told} {_word(item[name])} value. IndexName: {index.name}, IndexKey: {name}")
                if size_of(item[name]) > (RANGE_BYTES if name != index.key[0] else HASH_BYTES):
                    raise invalid_values(f"Size of the key {name} of the index {index.name} has exceeded the maximum size limit")

    def check_key(self, key: Item) -> tuple[Any, ...]:
        """The values of a key that a request gives. Raises AwsError."""
        if len(key) != len(self.key) or any(name not in key or kind_of(key[name]) != self.types[name] for name in self.key):
            raise invalid("The provided key element does not match the schema")
        self._check_parts(key)
        return self.key_of(key)

    def _check_parts(self, item: Item) -> None:
        for name in self.key:
            if item[name] in ("", b""):
                raise invalid(f"{EMPTY_KEY} {_word(item[name])} value. Key: {name}")
        if size_of(item[self.key[0]]) > HASH_BYTES:
            raise invalid_values(f"Size of hashkey has exceeded the maximum size limit of{HASH_BYTES} bytes")
        if len(self.key) > 1 and size_of(item[self.key[1]]) > RANGE_BYTES:
            raise invalid_values(f"Aggregated size of all range keys has exceeded the size limit of {RANGE_BYTES} bytes")


def _word(value: Any) -> str:
    return "string" if type(value) is str else "binary"


def of_pipeline(table: PipelineTable) -> Table | None:
    """A pipeline's table as DynamoDB has tables; None for one whose key DynamoDB could not have."""
    kinds = {name: _KINDS.get(table.contract.column(name).kind, "") for name in table.contract.key}
    if not table.stored or not all(kinds.values()) or len(kinds) > 2:
        return None
    return Table(table.name, "", 0.0, tuple(kinds), kinds, ttl=table.contract.ttl or "", is_of_pipeline=True)


def declare(store: Store, table: Table, shards: int) -> None:
    """Make a table and its indexes in the store, unless they are there."""
    if not table.is_of_pipeline:
        store.declare(table.name, table.key, shards, ttl=table.ttl)
    for index in table.indexes:
        store.index(table.name, index.name, index.key)


def describe(table: Table, arn: str, size: tuple[int, int]) -> dict[str, Any]:
    """A table as DescribeTable shows it; `size` is how many items and bytes it had when they were last counted."""
    items, total = size
    made: dict[str, Any] = {
        "TableName": table.name, "TableArn": arn, "TableId": table.id,
        "TableStatus": "DELETING" if table.is_deleting else "ACTIVE",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in sorted(table.types.items())],
        "KeySchema": key_schema(table.key), "CreationDateTime": datetime.fromtimestamp(table.created, UTC),
        "ItemCount": items, "TableSizeBytes": total, "DeletionProtectionEnabled": table.is_protected,
        "ProvisionedThroughput": _throughput(table.throughput),
    }
    if table.on_demand:
        made["BillingModeSummary"] = {"BillingMode": "PAY_PER_REQUEST"}
    if table.table_class != "STANDARD":
        made["TableClassSummary"] = {"TableClass": table.table_class}
    for member, is_local in (("LocalSecondaryIndexes", True), ("GlobalSecondaryIndexes", False)):
        found = [_index(index, arn) for index in table.indexes if index.is_local is is_local]
        made[member] = found or None
    if table.stream is not None:
        made["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream.view}
    if table.last_stream:
        made |= {"LatestStreamLabel": table.last_stream, "LatestStreamArn": f"{arn}/stream/{table.last_stream}"}
    return made


def _index(index: Index, arn: str) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.included:
        projection["NonKeyAttributes"] = list(index.included)
    made = {
        "IndexName": index.name, "IndexArn": f"{arn}/index/{index.name}", "KeySchema": key_schema(index.key),
        "Projection": projection,
    }
    if not index.is_local:
        made |= {"IndexStatus": "ACTIVE", "ProvisionedThroughput": _throughput(index.throughput)}
    return made


def key_schema(key: tuple[str, ...]) -> list[Mapping[str, str]]:
    """A key as AWS writes it."""
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(key, ("HASH", "RANGE"), strict=False)]


def _throughput(units: tuple[int, int]) -> dict[str, int]:
    return {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": units[0], "WriteCapacityUnits": units[1]}
