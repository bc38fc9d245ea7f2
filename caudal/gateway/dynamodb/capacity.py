"""Consumed capacity, as AWS bills it: a write by KB, a read by 4 KB, half of it unless it is consistent."""

from collections.abc import Mapping
from typing import Any

from caudal.gateway.dynamodb.tables import Index, Table
from caudal.gateway.dynamodb.values import size_of_item
from caudal.records import Item


def read_units(size: int, consistent: bool, transaction: bool = False) -> float:
    """Units of reading so many bytes at once."""
    return max(1, -(-size // 4096)) * (2.0 if transaction else 1.0 if consistent else 0.5)


def write_units(size: int, transaction: bool = False) -> float:
    """Units of writing an item of so many bytes."""
    return max(1, -(-size // 1024)) * (2.0 if transaction else 1.0)


def shown(item: Item, table: Table, index: Index) -> Item:
    """What an index holds of an item."""
    held = table.held(index)
    return item if held is None else {name: value for name, value in item.items() if name in held}


def index_units(table: Table, old: Item | None, new: Item | None, transaction: bool = False) -> dict[str, float]:
    """Units of what a write changes in each of the table's indexes."""
    units = {}
    for index in table.indexes:
        was, now = (shown(item, table, index) if item is not None and all(name in item for name in index.key) else None
                    for item in (old, new))
        if was == now:
            continue
        has_moved = was is not None and now is not None and any(was[name] != now[name] for name in index.key)
        entries = [item for item in (was, now) if item is not None]
        sizes = [size_of_item(item) for item in entries]
        units[index.name] = sum(write_units(size, transaction) for size in (sizes if has_moved else [max(sizes)]))
    return units


def consumed(kind: str | None, table: Table, units: float, indexes: Mapping[str, float] | None = None) -> dict[str, Any] | None:
    """ConsumedCapacity, as the request wants it: TOTAL, INDEXES, or not at all."""
    if kind not in ("TOTAL", "INDEXES"):
        return None
    of_indexes = dict(indexes or {})
    made: dict[str, Any] = {"TableName": table.name, "CapacityUnits": units + sum(of_indexes.values())}
    if kind == "INDEXES":
        made["Table"] = {"CapacityUnits": units}
        local = {index.name for index in table.indexes if index.is_local}
        for member, is_local in (("LocalSecondaryIndexes", True), ("GlobalSecondaryIndexes", False)):
            found = {name: {"CapacityUnits": count} for name, count in of_indexes.items() if (name in local) is is_local}
            if found:
                made[member] = found
    return made


def add_up(all_consumed: list[dict[str, Any] | None]) -> list[dict[str, Any]] | None:
    """ConsumedCapacity of several actions, one a table."""
    made: dict[str, dict[str, Any]] = {}
    for each in all_consumed:
        if each is None:
            continue
        found = made.setdefault(each["TableName"], {"TableName": each["TableName"], "CapacityUnits": 0.0})
        _add(found, each)
    return list(made.values()) or None


def _add(total: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        elif name == "CapacityUnits":
            total[name] = total.get(name, 0.0) + value
