"""The DynamoDB API's reads: one item, many, queries and scans by pages of 1 MB."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from zlib import crc32

import msgspec

from caudal.errors import InvalidItem
from caudal.gateway.cloud import Cloud, refuse
from caudal.gateway.dynamodb import transactions
from caudal.gateway.dynamodb.administration import Administration, Answer
from caudal.gateway.dynamodb.capacity import add_up, consumed, read_units, shown
from caudal.gateway.dynamodb.keys import KeyRange, key_range
from caudal.gateway.dynamodb.scope import Condition, Place, Scope, project
from caudal.gateway.dynamodb.tables import Index, Table
from caudal.gateway.dynamodb.throughput import CODE, Throughput
from caudal.gateway.dynamodb.values import invalid, invalid_values, kind_of, size_of_item
from caudal.gateway.faults import AwsError
from caudal.ingest.items import encode_key
from caudal.ingest.store import Modify
from caudal.records import Item

PAGE_BYTES = 1 << 20
"""What a query or a scan reads at most at once."""
BATCH_BYTES = 16 << 20
READ_ITEMS = 256
"""Items that a query takes from the store at once."""


class _View(msgspec.Struct):
    """What a query or scan reads, and shows of it."""

    table: Table
    index: Index | None
    range: KeyRange
    filter: Condition | None
    places: list[Place] | None
    select: str
    limit: int | None
    after: tuple[Any, ...] | None
    reverse: bool
    segment: tuple[int, int] | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """Names of what an item is placed by, as the store's pages have it."""
        return (*self.index.key, *self.table.key) if self.index is not None else self.table.key

    def absent(self, places: Iterable[Place]) -> list[str]:
        """Attributes of some places that the index, if there is one, does not hold."""
        held = self.table.held(self.index) if self.index is not None else None
        return [str(place[0]) for place in places if held is not None and place[0] not in held]


class Reading(Administration):
    """Items that are read."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.throughput = Throughput(cloud.stages.config.gateway.limits)

    def get_item(
        self, *, TableName: str, Key: Item, ConsistentRead: bool = False, ReturnConsumedCapacity: str | None = None,
        ProjectionExpression: str | None = None, ExpressionAttributeNames: dict[str, str] | None = None, **other: Any,
    ) -> Answer:
        _refuse(other)
        table = self.account.find(TableName)
        places = _places(ProjectionExpression, ExpressionAttributeNames)
        item, units = self._get(table, table.check_key(Key), ConsistentRead)
        return {
            "Item": project(item, places) if item is not None else None,
            "ConsumedCapacity": consumed(ReturnConsumedCapacity, table, units),
        }

    def _get(self, table: Table, key: tuple[Any, ...], consistent: bool) -> tuple[Item | None, float]:
        """An item, and the units that reading it takes. Raises AwsError if there are none left."""
        self.throughput.check_read(table)
        item = self.account.store.get(table.name, key)
        units = read_units(size_of_item(item or {}), consistent)
        self.throughput.take_read(table, units)
        return item, units

    def batch_get_item(self, *, RequestItems: dict[str, Answer], ReturnConsumedCapacity: str | None = None) -> Answer:
        if not RequestItems or sum(len(wanted["Keys"]) for wanted in RequestItems.values()) > 100:
            raise invalid(f"Too {'many' if RequestItems else 'few'} items requested for the BatchGetItem call")
        found: dict[str, list[Item]] = {}
        units: list[Answer | None] = []
        waiting: dict[str, Answer] = {}
        room, refused = BATCH_BYTES, None
        for name, wanted in RequestItems.items():
            table = self.account.find(name)
            _refuse({member: wanted.get(member) for member in ("AttributesToGet",)})
            places = _places(wanted.get("ProjectionExpression"), wanted.get("ExpressionAttributeNames"))
            keys = [table.check_key(key) for key in wanted["Keys"]]
            if len({encode_key(key) for key in keys}) < len(keys):
                raise invalid("Provided list of item keys contains duplicates")
            found[name] = []
            for key, given in zip(keys, wanted["Keys"], strict=True):
                try:
                    item, taken = self._get(table, key, wanted.get("ConsistentRead", False)) if room > 0 else (None, 0.0)
                except AwsError as error:
                    if error.code != CODE:
                        raise
                    item, taken, refused = None, 0.0, error
                if not taken:
                    waiting.setdefault(name, {**wanted, "Keys": []})["Keys"].append(given)
                    continue
                room -= size_of_item(item or {})
                units.append(consumed(ReturnConsumedCapacity, table, taken))
                if item is not None:
                    found[name].append(project(item, places))
        if refused is not None and not units:
            raise refused
        return {"Responses": found, "UnprocessedKeys": waiting, "ConsumedCapacity": add_up(units)}

    def transact_get_items(self, *, TransactItems: list[Answer], ReturnConsumedCapacity: str | None = None) -> Answer:
        wanted = [(self.account.find(each["Get"]["TableName"]), each["Get"]) for each in TransactItems]
        keys = [(table, table.check_key(get["Key"])) for table, get in wanted]
        if len({(table.name, encode_key(key)) for table, key in keys}) < len(keys):
            raise invalid("Transaction request cannot include multiple operations on one item")
        places = [_places(get.get("ProjectionExpression"), get.get("ExpressionAttributeNames")) for _, get in wanted]
        transactions.check([self._reason(table) for table, _ in wanted])
        items = self._at_one_moment(keys)
        transactions.check_size(sum(size_of_item(item or {}) for item in items))
        units = []
        for (table, _), item in zip(wanted, items, strict=True):
            taken = read_units(size_of_item(item or {}), True, True)
            self.throughput.take_read(table, taken)
            units.append(consumed(ReturnConsumedCapacity, table, taken))
        answers = [{"Item": project(item, which)} if item is not None else {} for item, which in zip(items, places, strict=True)]
        return {"Responses": answers, "ConsumedCapacity": add_up(units)}

    def _reason(self, table: Table) -> transactions.Reason:
        try:
            self.throughput.check_read(table)
        except AwsError as error:
            return transactions.reason(error)
        return transactions.NONE

    def _at_one_moment(self, keys: list[tuple[Table, tuple[Any, ...]]]) -> list[Item | None]:
        found: dict[int, Item | None] = {}

        def look(n: int, item: Item | None) -> Item | None:
            found[n] = item
            return item

        self.account.store.write([Modify(table.name, key, partial(look, n)) for n, (table, key) in enumerate(keys)])
        return [found[n] for n in range(len(keys))]

    def query(
        self, *, TableName: str, IndexName: str | None = None, Select: str | None = None, Limit: int | None = None,
        ConsistentRead: bool = False, ScanIndexForward: bool = True, ExclusiveStartKey: Item | None = None,
        ReturnConsumedCapacity: str | None = None, ProjectionExpression: str | None = None, FilterExpression: str | None = None,
        KeyConditionExpression: str | None = None, ExpressionAttributeNames: dict[str, str] | None = None,
        ExpressionAttributeValues: Item | None = None, **other: Any,
    ) -> Answer:
        _refuse(other)
        table = self.account.find(TableName)
        index = table.index(IndexName) if IndexName is not None else None
        if KeyConditionExpression is None:
            raise invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
        scope = Scope(ExpressionAttributeNames, ExpressionAttributeValues)
        wanted = scope.condition(KeyConditionExpression, "KeyConditionExpression")
        key = index.key if index is not None else table.key
        assert wanted is not None
        view = _View(
            table, index, key_range(wanted, scope, key, table.types), scope.condition(FilterExpression, "FilterExpression"),
            scope.projection(ProjectionExpression), _select(Select, index, ProjectionExpression), Limit, None,
            not ScanIndexForward)
        filtered = list(view.filter.paths()) if view.filter is not None else []
        for place in filtered:
            if place[0] in key:
                told = "Filter Expression can only contain non-primary key attributes: Primary key attribute"
                raise invalid(f"{told}: {place[0]}")
        if absent := sorted(set(view.absent(filtered))):  # a scan takes them for missing
            told = f"Secondary index {IndexName} does not project one or more filter attributes"
            raise invalid_values(f"{told}: [{', '.join(absent)}]")
        scope.check_used({"KeyConditionExpression": KeyConditionExpression, "FilterExpression": FilterExpression,
                          "ProjectionExpression": ProjectionExpression})
        return self._page(view, ExclusiveStartKey, ConsistentRead, ReturnConsumedCapacity)

    def scan(
        self, *, TableName: str, IndexName: str | None = None, Select: str | None = None, Limit: int | None = None,
        ConsistentRead: bool = False, ExclusiveStartKey: Item | None = None, Segment: int | None = None,
        TotalSegments: int | None = None, ReturnConsumedCapacity: str | None = None, ProjectionExpression: str | None = None,
        FilterExpression: str | None = None, ExpressionAttributeNames: dict[str, str] | None = None,
        ExpressionAttributeValues: Item | None = None, **other: Any,
    ) -> Answer:
        _refuse(other)
        table = self.account.find(TableName)
        index = table.index(IndexName) if IndexName is not None else None
        scope = Scope(ExpressionAttributeNames, ExpressionAttributeValues)
        view = _View(
            table, index, KeyRange(()), scope.condition(FilterExpression, "FilterExpression"),
            scope.projection(ProjectionExpression), _select(Select, index, ProjectionExpression), Limit, None, False,
            _segment(Segment, TotalSegments))
        scope.check_used({"FilterExpression": FilterExpression, "ProjectionExpression": ProjectionExpression})
        return self._page(view, ExclusiveStartKey, ConsistentRead, ReturnConsumedCapacity)

    def _page(self, view: _View, start: Item | None, consistent: bool, capacity: str | None) -> Answer:
        if consistent and view.index is not None and not view.index.is_local:
            raise invalid("Consistent reads are not supported on global secondary indexes")
        if view.index is not None and not view.index.is_local and (absent := view.absent(view.places or ())):
            raise invalid_values(f"Global secondary index {view.index.name} does not project [{', '.join(absent)}]")
        if start is not None:
            view.after = _start(view, start)
        self.throughput.check_read(view.table, view.index)
        items, count, scanned, total = [], 0, 0, 0
        last: Item | None = None
        for item in self._placed(view):
            if (view.limit is not None and scanned == view.limit) or total >= PAGE_BYTES:
                break
            last, scanned = item, scanned + 1
            seen = shown(item, view.table, view.index) if view.index is not None else item
            total += size_of_item(seen)
            if view.filter is None or view.filter(seen):
                count += 1
                if view.select != "COUNT":
                    # A local index fetches from the table what it does not hold itself.
                    has_all = view.select == "ALL_ATTRIBUTES" or view.places is not None
                    items.append(project(item if has_all else seen, view.places))
        else:
            if scanned != view.limit:  # as on AWS, a page that a limit ends may be followed by an empty one
                last = None
        units = read_units(total, consistent)
        self.throughput.take_read(view.table, units, view.index)
        of_index = {view.index.name: units} if view.index is not None else None
        return {
            "Items": items if view.select != "COUNT" else None, "Count": count, "ScannedCount": scanned,
            "LastEvaluatedKey": {name: last[name] for name in sorted({*view.key})} if last is not None else None,
            "ConsumedCapacity": consumed(capacity, view.table, 0.0 if of_index else units, of_index),
        }

    def _placed(self, view: _View) -> Iterator[Item]:
        """The items that a query or scan is about, in order."""
        name, after = view.table.name, view.after
        index, size = view.index.name if view.index is not None else "", READ_ITEMS
        if view.limit is not None and view.segment is None:
            size = min(size, view.limit + 1)
        while True:
            page = self.account.store.query(
                name, view.range.prefix, low=view.range.low, high=view.range.high, limit=size, after=after, reverse=view.reverse,
                index=index)
            for item in page.items:
                if view.segment is None or crc32(encode_key([item[view.key[0]]])) % view.segment[1] == view.segment[0]:
                    yield item
            if page.after is None:
                return
            after = tuple(page.after)


def _refuse(options: Answer) -> None:
    refuse(options, "ValidationException")


def _places(text: str | None, names: dict[str, str] | None) -> list[Place] | None:
    scope = Scope(names, None)
    places = scope.projection(text)
    scope.check_used({"ProjectionExpression": text})
    return places


def _select(select: str | None, index: Index | None, projection: str | None) -> str:
    """What to show: ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES, SPECIFIC_ATTRIBUTES or COUNT. Raises AwsError."""
    if projection is not None and select not in (None, "SPECIFIC_ATTRIBUTES"):
        raise invalid(f"Cannot specify the ProjectionExpression when choosing to get {select}")
    if select == "SPECIFIC_ATTRIBUTES" and projection is None:
        raise invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
    if select == "ALL_PROJECTED_ATTRIBUTES" and index is None:
        raise invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    if select == "ALL_ATTRIBUTES" and index is not None and not index.is_local and index.projection != "ALL":
        told = f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name}"
        raise invalid_values(f"{told} because its projection type is not ALL")
    return select or "ALL_PROJECTED_ATTRIBUTES"


def _segment(segment: int | None, total: int | None) -> tuple[int, int] | None:
    if segment is None and total is None:
        return None
    if segment is None or total is None:
        given, missing = ("Segment", "TotalSegments") if total is None else ("TotalSegments", "Segment")
        raise invalid(f"The {missing} parameter is required but was not present in the request when {given} parameter is present")
    if segment >= total:
        told = "The Segment parameter is zero-based and must be less than parameter TotalSegments"
        raise invalid(f"{told}: Segment: {segment} is not less than TotalSegments: {total}")
    return segment, total


def _start(view: _View, start: Item) -> tuple[Any, ...]:
    """The place that ExclusiveStartKey names. Raises AwsError."""
    types = view.table.types
    if set(start) != set(view.key) or any(kind_of(start[name]) != types[name] for name in view.key):
        raise invalid("The provided starting key is invalid")
    try:
        encode_key([start[name] for name in view.key])
    except InvalidItem:
        raise invalid("The provided starting key is invalid") from None
    if view.range.prefix and start[view.key[0]] != view.range.prefix[0]:
        raise invalid("The provided starting key is outside query boundaries based on provided conditions")
    return tuple(start[name] for name in view.key)
