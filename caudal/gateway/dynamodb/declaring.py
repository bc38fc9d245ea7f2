"""From what CreateTable and UpdateTable ask for to a table. Raises AwsError, as AWS words it."""

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from caudal.gateway.dynamodb.tables import Index, Table
from caudal.gateway.dynamodb.values import invalid, invalid_values
from caudal.gateway.faults import AwsError

LOCAL_INDEXES, GLOBAL_INDEXES = 5, 20
_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")

_ON_DEMAND = "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
_NO_THROUGHPUT = "ProvisionedThroughput must be specified for index: {}"

Given = Mapping[str, Any]


def check_name(name: str, what: str = "TableName") -> str:
    """The name of a table or an index."""
    if not 3 <= len(name) <= 255:
        raise invalid(f"{what} must be at least 3 characters long and at most 255 characters long")
    if not _NAME.fullmatch(name):
        raise invalid(f"{what} must consist of the characters a-z, A-Z, 0-9, '_' (underscore), '-' (dash), and '.' (dot)")
    return name


def new_table(name: str, given: Given) -> Table:
    """The table that CreateTable's members describe."""
    types = _types(given["AttributeDefinitions"])
    key = _key(given["KeySchema"], types)
    on_demand = given.get("BillingMode") == "PAY_PER_REQUEST"
    throughput = _throughput(given, on_demand)
    indexes = [_index(each, types, key, on_demand, is_local=True) for each in _some(given, "LocalSecondaryIndexes")]
    indexes += [_index(each, types, key, on_demand, is_local=False) for each in _some(given, "GlobalSecondaryIndexes")]
    check_indexes(indexes)
    _check_defined(types, key, indexes)
    return Table(
        check_name(name), str(uuid.uuid4()), time.time(), key, types, tuple(indexes), on_demand, throughput,
        is_protected=given.get("DeletionProtectionEnabled", False), table_class=given.get("TableClass", "STANDARD"),
    )


def check_indexes(indexes: Sequence[Index]) -> None:
    """Raises AwsError for indexes that no table has together."""
    names = [index.name for index in indexes]
    for name in names:
        if names.count(name) > 1:
            raise invalid_values(f"Duplicate index name: {name}")
    for most, is_local in ((LOCAL_INDEXES, True), (GLOBAL_INDEXES, False)):
        if sum(index.is_local is is_local for index in indexes) > most:
            kind = "Local" if is_local else "Global"
            raise AwsError("LimitExceededException", f"{kind} secondary index count exceeds the per-table limit of {most}")


def _some(given: Given, member: str) -> Sequence[Given]:
    if member in given and not given[member]:
        kind = "LSI" if member.startswith("Local") else "GSI"
        raise invalid_values(f"List of {kind}s is empty")
    found: Sequence[Given] = given.get(member) or []
    return found


def _types(definitions: Sequence[Given]) -> dict[str, str]:
    types = {each["AttributeName"]: each["AttributeType"] for each in definitions}
    if len(types) != len(definitions):
        raise invalid_values("Duplicate AttributeName in AttributeDefinitions")
    return types


def _key(schema: Sequence[Given], types: Mapping[str, str]) -> tuple[str, ...]:
    kinds = [each["KeyType"] for each in schema]
    names = tuple(each["AttributeName"] for each in schema)
    if kinds not in (["HASH"], ["HASH", "RANGE"]):
        which, kind = ("second", "RANGE") if kinds[:1] == ["HASH"] else ("first", "HASH")
        raise invalid(f"Invalid KeySchema: The {which} KeySchemaElement is not a {kind} key type")
    if len(set(names)) < len(names):
        raise invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if missing := [name for name in names if name not in types]:
        told = "Some index key attributes are not defined in AttributeDefinitions."
        raise invalid_values(f"{told} Keys: [{', '.join(missing)}], AttributeDefinitions: [{', '.join(sorted(types))}]")
    return names


def _throughput(given: Given, on_demand: bool) -> tuple[int, int]:
    wanted = given.get("ProvisionedThroughput")
    if on_demand and wanted is not None:
        raise invalid_values(_ON_DEMAND)
    if not on_demand and wanted is None:
        raise invalid_values("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
    return units(wanted or {})


def units(given: Given) -> tuple[int, int]:
    """Units of reading and of writing that ProvisionedThroughput asks for."""
    return given.get("ReadCapacityUnits", 0), given.get("WriteCapacityUnits", 0)


def index_updates(given: Sequence[Given]) -> list[tuple[str, Given]]:
    """What UpdateTable does to global indexes: Create, Update or Delete, and its members."""
    made: list[tuple[str, Given]] = []
    for update in given:
        if len(update) != 1:
            raise invalid_values("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                                 "GlobalSecondaryIndexUpdate.Delete must not be null")
        made += update.items()
    names = [inner["IndexName"] for _, inner in made]
    for name in names:
        if names.count(name) > 1:
            raise invalid_values(f"Only one global secondary index update per index is allowed simultaneously. Index: {name}")
    if sum(kind != "Update" for kind, _ in made) > 1:
        told = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
        raise AwsError("LimitExceededException", told)
    return made


def billing(table: Table, mode: str | None, wanted: Given | None, updates: Sequence[tuple[str, Given]]) -> dict[str, Any]:
    """How UpdateTable's BillingMode and ProvisionedThroughput change a table."""
    on_demand = table.on_demand if mode is None else mode == "PAY_PER_REQUEST"
    if on_demand:
        if wanted is not None:
            raise invalid_values(_ON_DEMAND)
        indexes = tuple(replace(index, throughput=(0, 0)) for index in table.indexes)
        return {"on_demand": True, "throughput": (0, 0), "indexes": indexes} if mode is not None else {}
    if wanted is None:
        if table.on_demand:
            raise invalid_values("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
        return {}
    read, write = units(wanted)
    if table.throughput == (read, write) and not table.on_demand:
        raise invalid(
            "The provisioned throughput for the table will not change. The requested value equals the current value. Current "
            f"ReadCapacityUnits provisioned for the table: {read}. Requested ReadCapacityUnits: {read}. Current "
            f"WriteCapacityUnits provisioned for the table: {write}. Requested WriteCapacityUnits: {write}. "
            "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.")
    updated = {inner["IndexName"] for kind, inner in updates if kind != "Create"}
    for index in table.indexes if table.on_demand else ():
        if not index.is_local and index.name not in updated:
            raise invalid_values(_NO_THROUGHPUT.format(index.name))
    return {"on_demand": False, "throughput": (read, write)}


def _index(given: Given, types: Mapping[str, str], table_key: tuple[str, ...], on_demand: bool, *, is_local: bool) -> Index:
    for member in ("OnDemandThroughput", "WarmThroughput"):
        if given.get(member) is not None:
            raise invalid(f"caudal does not serve the option {member} of an index")
    name, key = check_name(given["IndexName"], "IndexName"), _key(given["KeySchema"], types)
    if is_local and len(table_key) < 2:
        raise invalid_values("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
    if is_local and len(key) < 2:
        raise invalid_values(f"Index KeySchema does not have a range key for index: {name}")
    if is_local and key[0] != table_key[0]:
        raise invalid_values(f"Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}")
    projection = given["Projection"].get("ProjectionType", "ALL")
    included = tuple(given["Projection"].get("NonKeyAttributes") or ())
    if included and projection != "INCLUDE":
        raise invalid_values(f"ProjectionType is {projection}, but NonKeyAttributes is specified")
    if projection == "INCLUDE" and not included:
        raise invalid_values("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    if not is_local and not on_demand and "ProvisionedThroughput" not in given:
        raise invalid_values(_NO_THROUGHPUT.format(name))
    throughput = (0, 0) if is_local else _throughput(given, on_demand)
    return Index(name, key, is_local, projection, included, throughput)


def new_index(given: Given, table: Table, types: Mapping[str, str]) -> Index:
    """The global index that UpdateTable adds, with the types of its key."""
    return _index(given, types, table.key, table.on_demand, is_local=False)


def with_types(table: Table, definitions: Sequence[Given] | None) -> dict[str, str]:
    """The table's types of attributes, with those that UpdateTable defines."""
    types = dict(table.types)
    for name, kind in _types(definitions or []).items():
        if types.setdefault(name, kind) != kind:
            raise invalid_values(f"Attribute {name} is defined with another type already")
    return types


def used_types(types: Mapping[str, str], key: Sequence[str], indexes: Sequence[Index]) -> dict[str, str]:
    """The types of the attributes that are in a key."""
    used = {*key, *(name for index in indexes for name in index.key)}
    return {name: kind for name, kind in types.items() if name in used}


def _check_defined(types: Mapping[str, str], key: Sequence[str], indexes: Sequence[Index]) -> None:
    if used_types(types, key, indexes) != types:
        raise invalid_values("Some AttributeDefinitions are not used. AttributeDefinitions: "
                             f"[{', '.join(sorted(types))}], keys used: [{', '.join(sorted(used_types(types, key, indexes)))}]")
