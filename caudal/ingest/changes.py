"""The record that a change travels as: one line of JSON, made of the store's own bytes.

    {"op":"put","id":"3f9a0c21-1","time":1767225661573241,"row":{…},"before":{…}}

`row` is the item as the change left it, or, of a delete, as it was; so that whoever wants rows reads one field.
`before` is there when a put replaced an item, `why` when a delete has a reason. Events have `op` "event".
"""

import base64
import os
import time
from itertools import count
from typing import Any, Literal

import msgspec

from caudal.errors import DataError
from caudal.ingest.items import decode_item
from caudal.records import Change


class Stamp:
    """Event ids and times: ids are unique for ever, times never go back within a process."""

    def __init__(self) -> None:
        self._prefix = f"{os.urandom(5).hex()}-"
        self._next = count()
        self._last = 0

    def id(self) -> str:
        return f"{self._prefix}{next(self._next):x}"

    def time(self) -> int:
        """Now, microseconds since 1970, UTC."""
        self._last = max(self._last, time.time_ns() // 1000)
        return self._last


def encode_put(event_id: str, event_time: int, row: bytes, before: bytes | None) -> bytes:
    """A put, from the JSON of the item and of the one that it replaces."""
    if before is None:
        return b'{"op":"put","id":"%b","time":%d,"row":%b}\n' % (event_id.encode(), event_time, row)
    return b'{"op":"put","id":"%b","time":%d,"row":%b,"before":%b}\n' % (event_id.encode(), event_time, row, before)


def encode_delete(event_id: str, event_time: int, before: bytes, reason: str) -> bytes:
    """A delete, from the JSON of the item that was."""
    return b'{"op":"delete","id":"%b","time":%d,"row":%b,"why":%b}\n' % (
        event_id.encode(), event_time, before, msgspec.json.encode(reason),
    )


def encode_event(event_id: str, event_time: int, row: bytes) -> bytes:
    """An append-only fact."""
    return b'{"op":"event","id":"%b","time":%d,"row":%b}\n' % (event_id.encode(), event_time, row)


class Layout(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a line of an imported file is to be read."""

    format: Literal["csv", "json"]
    columns: tuple[str, ...] = ()
    """Of CSV: the names in the header."""
    locale: str = ""
    """Of CSV: how its numbers are written."""


class Origin(msgspec.Struct, frozen=True):
    """Where a quarantined line comes from: how to read it, and what it would have been called."""

    id: str
    time: int
    layout: Layout = msgspec.field(name="from")


def encode_rejected(
    event_id: str, event_time: int, reason: str, detail: str, raw: bytes, layout: Layout | None = None
) -> bytes:
    """Something that could not become an item, on its way to quarantine."""
    record = {
        "op": "rejected", "id": event_id, "time": event_time, "why": reason, "detail": detail,
        "raw": base64.b64encode(raw).decode(),
    }
    return msgspec.json.encode(record if layout is None else record | {"from": layout}) + b"\n"


def read_origin(record: bytes) -> str:
    """The `Origin` in a record of `encode_rejected`, as JSON; "" if it says none."""
    try:
        return msgspec.json.encode(_origin.decode(record)).decode()
    except (ValueError, RecursionError):
        return ""


class _Wire(msgspec.Struct):
    op: Literal["put", "delete", "event"]
    id: str
    time: int
    row: msgspec.Raw
    before: msgspec.Raw = msgspec.Raw(b"null")  # a union with None would refuse every object
    why: str | None = None


_wire = msgspec.json.Decoder(_Wire)
_origin = msgspec.json.Decoder(Origin)


def decode_change(record: bytes, key: tuple[str, ...]) -> Change:
    """Read a record back as a Change of a table keyed by `key`. Raises DataError if it is none."""
    try:
        wire = _wire.decode(record)
        row = decode_item(bytes(wire.row))
        before = decode_item(bytes(wire.before))
        if not isinstance(row, dict) or not isinstance(before, dict | None):
            raise TypeError("an item is an object")
        values: tuple[Any, ...] = tuple(row[name] for name in key)
    except KeyError as error:
        raise DataError(f"not a change record: its row has no {error.args[0]}, which is part of the key") from None
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise DataError(f"not a change record: {error}") from error
    if wire.op == "delete":
        return Change("delete", values, row, None, wire.time, wire.id, wire.why)
    return Change("put", values, before, row, wire.time, wire.id)
