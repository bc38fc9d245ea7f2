"""Attributes that applications write and the contract does not know: looked for in the store and the newest of the stream.

They are in no column, and lost to nobody: the store and the stream keep them. No value leaves here, only its shape.
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

from caudal.contract import Contract
from caudal.ingest.items import decode_item
from caudal.ingest.stream import Stream
from caudal.pipeline import Stages

EXAMPLES = 3
LENGTH = 24
"""Characters of an example."""


class _Wire(msgspec.Struct):
    time: int
    row: msgspec.Raw


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
    types: Counter[str] = field(default_factory=Counter)
    first_seen: int | None = None
    """Event time, in the stream, microseconds since 1970, UTC."""
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
    unknown: list[Unknown]


def read_drift(stages: Stages, table: str, limit: int) -> Drift:
    """Look at up to `limit` items of the store, and as many of the newest records of the stream."""
    contract = stages.table(table).contract
    known = {*(column.name for column in contract.columns), *contract.renames}
    found: dict[str, Unknown] = {}
    items = records = 0
    for item in itertools.islice(stages.store.scan(table), limit) if table in stages.store.tables() else ():
        items += 1
        for name in item.keys() - known:
            seen = found.setdefault(name, Unknown(name))
            seen.items += 1
            seen.add(item[name])
    for time, item in _newest(stages.stream, table, limit):
        records += 1
        for name in item.keys() - known:
            seen = found.setdefault(name, Unknown(name))
            seen.records += 1
            seen.first_seen, seen.last_seen = min(seen.first_seen or time, time), max(seen.last_seen or time, time)
            seen.add(item[name])
    for seen in found.values():
        seen.near = _near(seen.attribute, contract)
    return Drift(table, items, records, sorted(found.values(), key=lambda seen: (-seen.records - seen.items, seen.attribute)))


def _newest(stream: Stream, table: str, limit: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Event time and item of the newest records: as many of each shard."""
    ends = stream.ends(table)
    for shard, end in ends.items():
        offset = max(end.oldest, end.next - -(-limit // len(ends)))
        while offset < end.next:
            run = stream.read(table, shard, offset)
            for index in range(min(len(run), end.next - offset)):
                try:
                    wire = _wire.decode(run.raw(index))
                    item = decode_item(bytes(wire.row))
                except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
                    continue  # no change: the writer quarantines it, with the reason
                if isinstance(item, dict):
                    yield wire.time, item
            offset = run.next


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
