"""A change as DynamoDB's streams, and Kinesis, carry it."""

from collections.abc import Sequence
from typing import Any

from caudal.gateway.dynamodb.values import same, size_of_item, write_item
from caudal.ingest.changes import decode_change
from caudal.records import Change

Record = dict[str, Any]

TTL_IDENTITY = {"principalId": "dynamodb.amazonaws.com", "type": "Service"}
"""Whose deletions those of expired items are."""


def read_change(raw: bytes, key: Sequence[str]) -> Change | None:
    """The change that a record of the store is; None for one that left the item as it was, which AWS does not tell."""
    if raw.startswith(b'{"op":"rejected"'):  # a line of an import that was no item
        return None
    change = decode_change(raw, tuple(key))
    if change.before is not None and change.after is not None and same(change.before, change.after):
        return None
    return change


def event_name(change: Change) -> str:
    """INSERT, MODIFY or REMOVE."""
    if change.op == "delete":
        return "REMOVE"
    return "INSERT" if change.before is None else "MODIFY"


def stream_record(change: Change, key: Sequence[str], view: str) -> Record:
    """What is in a record under `dynamodb`, without its sequence number; images as the view has them, in DynamoDB's JSON."""
    item = change.after if change.after is not None else change.before
    assert item is not None
    keys = {name: item[name] for name in key}
    made: Record = {"Keys": write_item(keys)}
    size = size_of_item(keys)
    if change.after is not None and view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
        made["NewImage"] = write_item(change.after)
        size += size_of_item(change.after)
    if change.before is not None and view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
        made["OldImage"] = write_item(change.before)
        size += size_of_item(change.before)
    return {**made, "SizeBytes": size}


def kinesis_record(change: Change, table: str, key: Sequence[str], precision: str, region: str) -> Record:
    """The record that goes to a Kinesis stream."""
    is_micro = precision == "MICROSECOND"
    inner: Record = {"ApproximateCreationDateTime": change.event_time if is_micro else change.event_time // 1000}
    if is_micro:
        inner["ApproximateCreationDateTimePrecision"] = "MICROSECOND"
    return {
        "awsRegion": region, "eventID": change.event_id, "eventName": event_name(change),
        "userIdentity": TTL_IDENTITY if change.reason == "ttl" else None, "recordFormat": "application/json", "tableName": table,
        "dynamodb": {**inner, **stream_record(change, key, "NEW_AND_OLD_IMAGES")}, "eventSource": "aws:dynamodb",
    }
