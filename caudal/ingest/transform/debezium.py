"""Debezium's change records of PostgreSQL and MySQL, with and without their schema.

Their event ids are the source's place of the change (lsn; or file, pos and row), so that they sort as the source's log does
and are the same whenever Debezium sends a change again.
"""

import hashlib
import re
from decimal import Decimal
from typing import Any

from caudal.ingest.transform.debezium_values import UNAVAILABLE, from_debezium
from caudal.ingest.transform.form import Form, Seen, check_single, parse_value
from caudal.ingest.transform.values import FIRST_TIME, LAST_TIME, Misfit, Warn, json_text
from caudal.records import Item

TOMBSTONE = "tombstone"
"""Reason of the null after a delete, by which Kafka forgets a key: no change, and nothing lost if it is dropped."""

_OPS = {"r": "0", "c": "1", "u": "2", "d": "3"}
"""Operation to its order at one place of the log: a snapshot's read stands before the changes that follow it."""


class DebeziumForm(Form):
    """`{"before","after","source","op","ts_ms"}`, or that as `payload` beside a `schema`."""

    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        envelope = parse_value(raw) if raw.strip() else None
        payload, schema = _unwrapped(envelope)
        if payload is None:
            raise Misfit(TOMBSTONE, "an empty record: the change before it was a delete")
        op, source = payload.get("op"), payload.get("source")
        if op == "t":
            raise Misfit("truncate", "the source table was emptied: no change of one item; delete its items, then replay")
        if not isinstance(op, str) or op not in _OPS or not isinstance(source, dict):
            raise Misfit("not_a_change", "a Debezium change has op c, u, d or r, and a source")
        image = payload.get("before" if op == "d" else "after")
        if not isinstance(image, dict):
            raise Misfit("no_image", f"a change of op {op} has no {'before' if op == 'd' else 'after'}")
        check_single(image, (column.name for column in self.contract.columns))
        item = self._item(image, payload.get("before"), _fields(schema), op, warn)
        digest = hashlib.blake2b(json_text([str(item.get(name)) for name in self.contract.key]).encode(), digest_size=8)
        id = f"{_place(source)}-{_OPS[op]}-{digest.hexdigest()}"
        return Seen("delete" if op == "d" else "put", "user" if op == "d" else None, _time(payload, source), id, item)

    def _item(self, image: Item, before: Any, fields: dict[str, Item], op: str, warn: Warn) -> Item:
        item = {}
        for column in self.contract.columns:
            value = image.get(column.name)
            if value in UNAVAILABLE and isinstance(before, dict):
                value = before.get(column.name, value)
            if value in UNAVAILABLE:
                raise Misfit("unavailable_value", f"{column.name} did not change and was not sent: set REPLICA IDENTITY FULL")
            if value is None and op == "d" and not column.nullable and column.name not in self.contract.key:
                raise Misfit("partial_image", f"a delete has no {column.name}: set REPLICA IDENTITY FULL, or let it be None")
            item[column.name] = from_debezium(column, value, fields.get(column.name, {}), warn)
        return item


def _unwrapped(envelope: Any) -> tuple[Item | None, Any]:
    """The payload, None of a tombstone, and its schema if it came along."""
    schema = None
    if isinstance(envelope, dict) and "payload" in envelope:
        check_single(envelope, ("payload", "schema"))
        envelope, schema = envelope["payload"], envelope.get("schema")
    if envelope is not None and not isinstance(envelope, dict):
        raise Misfit("not_an_object", "a record is one JSON object")
    check_single(envelope, ("before", "after", "source", "op", "ts_ms"))
    return envelope, schema


def _fields(schema: Any) -> dict[str, Item]:
    """Column to how Kafka Connect describes it; empty without a schema."""
    members = schema.get("fields") if isinstance(schema, dict) else None
    for member in members if isinstance(members, list) else ():
        if isinstance(member, dict) and member.get("field") == "after" and isinstance(member.get("fields"), list):
            return {field["field"]: field for field in member["fields"] if isinstance(field, dict) and "field" in field}
    return {}


def _place(source: Item) -> str:
    """Where in the source's log a change is: sorts as the log does."""
    lsn, file, pos, row = (source.get(name) for name in ("lsn", "file", "pos", "row"))
    if _is_count(lsn):
        return f"{lsn:020d}"
    name = re.fullmatch(r"([\w.-]{0,200}?)(\d{1,18})", file, re.ASCII) if isinstance(file, str) else None
    if name is not None and _is_count(pos) and _is_count(row or 0):
        return f"{name[1]}{int(name[2]):018d}-{pos:020d}-{row or 0:010d}"
    raise Misfit("not_a_change", "the source has neither an lsn nor a file and a pos: is it PostgreSQL or MySQL?")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**20


def _time(payload: Item, source: Item) -> int:
    """When it was committed, as exactly as it is said; microseconds since 1970."""
    for where, name, unit in ((source, "ts_us", 1), (source, "ts_ms", 1000), (payload, "ts_us", 1), (payload, "ts_ms", 1000)):
        value = where.get(name)
        if isinstance(value, int | Decimal) and not isinstance(value, bool) and FIRST_TIME <= value * unit <= LAST_TIME:
            return int(value * unit)
    raise Misfit("timestamp_format", "a change has no ts_ms of the years 1 to 9999")
