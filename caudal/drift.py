"""Attributes that applications write and the contract does not know: looked for in the store, the newest records of the
stream, and what the lake has rescued of those before.

No value leaves here, only its shape.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import msgspec
import pyarrow as pa

from caudal.contract import Contract
from caudal.ingest.items import decode_item
from caudal.ingest.stream import Stream
from caudal.ingest.transform.dynamodb import untyped
from caudal.ingest.transform.form import UNREADABLE
from caudal.ingest.transform.look import unknown_members
from caudal.ingest.transform.values import Misfit
from caudal.pipeline import Stages
from caudal.records import Item, Positions
from caudal.tables import Table

EXAMPLES = 3
LENGTH = 24
"""Characters of an example."""


class _Wire(msgspec.Struct):
    time: int


_wire = msgspec.json.Decoder(_Wire)

_TYPES = {str: "text", bool: "boolean", int: "whole number", Decimal: "decimal", list: "list", dict: "object", bytes: "bytes",
          type(None): "null"}
_DECLARED = {"text": "str", "boolean": "bool", "whole number": "int", "list": "list", "object": "dict", "bytes": "bytes"}


@dataclass
class Unknown:
    """An attribute that is no column."""

    attribute: str
    items: int = 0
    """Items of the store that have it."""
    records: int = 0
    """Records of the stream that have it."""
    rows: int = 0
    """Rows of the lake that keep it, made of records before these."""
    types: Counter[str] = field(default_factory=Counter)
    first_seen: int | None = None
    """Event time, in stream and lake, microseconds since 1970, UTC; of another system's records, when they arrived."""
    last_seen: int | None = None
    examples: list[str] = field(default_factory=list)
    """Shapes of values: x for a letter, 9 for a digit."""
    near: str = ""
    """A column of almost the same name."""

    @property
    def declare(self) -> str:
        """The line that would make it a column; nothing where that is not plain."""
        kinds = [kind for kind in self.types if kind != "null"]
        if len(kinds) != 1 or kinds[0] not in _DECLARED or not self.attribute.isidentifier():
            return ""
        return f"{self.attribute}: {_DECLARED[kinds[0]]} | None"

    def add(self, value: Any) -> None:
        """Count a value."""
        self.types[_TYPES.get(type(value), type(value).__name__)] += 1
        shape = masked(value)
        if value is not None and shape not in self.examples and len(self.examples) < EXAMPLES:
            self.examples.append(shape)


@dataclass
class Drift:
    """What was looked at in one table, and found."""

    table: str
    items: int
    records: int
    rows: int
    """Rows of the lake with something rescued."""
    unknown: list[Unknown]


def read_drift(stages: Stages, name: str, limit: int) -> Drift:
    """Look at up to `limit` items of the store, as many of the newest records, and of the newest rows made of others."""
    table = stages.table(name)
    contract = table.contract
    known = {*(column.name for column in contract.columns), *contract.renames}
    found: dict[str, Unknown] = {}
    items = records = rows = 0
    for item in itertools.islice(stages.store.scan(name), limit) if name in stages.store.tables() else ():
        items += 1
        for seen in _add(found, {key: item[key] for key in item.keys() - known}, None):
            seen.items += 1
    start = _start(stages.stream, name, limit)
    for time, item in _newest(stages.stream, contract, start):
        records += 1
        for seen in _add(found, item, time):
            seen.records += 1
    for time, item in _rescued(stages, table, start, limit):
        rows += 1
        for seen in _add(found, item, time):
            seen.rows += 1
    for seen in found.values():
        seen.near = _near(seen.attribute, contract)
    often = sorted(found.values(), key=lambda seen: (-seen.records - seen.items - seen.rows, seen.attribute))
    return Drift(name, items, records, rows, often)


def _add(found: dict[str, Unknown], item: Item, time: int | None) -> Iterator[Unknown]:
    """Count unknown attributes, and yield each."""
    for name, value in item.items():
        seen = found.setdefault(name, Unknown(name))
        seen.add(value)
        if time is not None:
            seen.first_seen, seen.last_seen = min(seen.first_seen or time, time), max(seen.last_seen or time, time)
        yield seen


def _start(stream: Stream, table: str, limit: int) -> Positions:
    """Where the newest records begin: as many of each shard."""
    ends = stream.ends(table)
    return {shard: max(end.oldest, end.next - -(-limit // len(ends))) for shard, end in ends.items()}


def _newest(stream: Stream, contract: Contract, start: Positions) -> Iterator[tuple[int, Item]]:
    """Time and unknown attributes of the records from a position on."""
    ends = stream.ends(contract.name)
    for shard, offset in start.items():
        while offset < ends[shard].next:
            run = stream.read(contract.name, shard, offset)
            for index in range(min(len(run), ends[shard].next - offset)):
                raw = run.raw(index)
                try:
                    members = unknown_members(contract, raw)
                    time = _wire.decode(raw).time if contract.form == "caudal" else int(run.times[index])
                    yield time, {name: _value(contract, value) for name, value in members.items()}
                except (*UNREADABLE, KeyError, ValueError, ArithmeticError):
                    continue  # no change: the writer quarantines it, with the reason
            offset = run.next


def _rescued(stages: Stages, table: Table, before: Positions, limit: int) -> Iterator[tuple[int, Item]]:
    """Event time and unknown attributes of the newest rows whose records come before the positions."""
    plain = next((name for name, delivery in table.deliveries.items() if delivery.transform is None), None)
    if plain is None or not any(before.values()):
        return
    version = stages.catalog.snapshot(plain).version
    if not version:
        return
    reached = " ".join(f"WHEN {shard} THEN {offset}" for shard, offset in before.items())
    found = stages.query.execute(
        f"SELECT _event_time, _rescued FROM {plain}_history WHERE _rescued IS NOT NULL"
        f" AND _position < CASE _shard {reached} ELSE 0 END ORDER BY _event_time DESC LIMIT {limit}",
        versions={plain: version},
    )
    for time, text in zip(found["_event_time"].cast(pa.int64()).to_pylist(), found["_rescued"].to_pylist(), strict=True):
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        yield time, {name: _value(table.contract, bytes(value)) for name, value in members.items()}


def _value(contract: Contract, text: bytes) -> Any:
    """The value of an attribute, from its JSON."""
    value = decode_item(b'{"v":%b}' % text)["v"]
    try:
        return untyped(value) if contract.form == "dynamodb" else value
    except Misfit:
        return value


def masked(value: Any) -> str:
    """The shape of a value, without what it says: an unknown attribute may be a person's."""
    if isinstance(value, bool | bytes) or value is None:
        return _TYPES[type(value)]
    if isinstance(value, list | dict):
        return f"{_TYPES[type(value)]} of {len(value)}"
    shape = re.sub(r"[^\W\d_]", "x", re.sub(r"\d", "9", str(value)))
    shape = "".join(c if c.isascii() and c.isprintable() else "?" for c in shape)
    return shape if len(shape) <= LENGTH else f"{shape[:LENGTH]}…"


def _near(name: str, contract: Contract) -> str:
    columns = {column.name.lower().replace("_", ""): column.name for column in contract.columns}
    match = get_close_matches(name.lower().replace("_", ""), columns, 1, cutoff=0.8)
    return columns[match[0]] if match else ""
