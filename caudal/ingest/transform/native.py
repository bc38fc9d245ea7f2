"""caudal's own records (`caudal.ingest.changes`), and plain JSON objects."""

from decimal import Decimal
from functools import reduce
from typing import Any, TypeGuard

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract
from caudal.ingest.transform.compiled import Flag, Kind, Member, Names, Read, Reader
from caudal.ingest.transform.form import UNREADABLE, Columns, Form, Seen, check_single, member_of, parse_object
from caudal.ingest.transform.values import FIRST_TIME, LAST_TIME, Already, JsonText, Misfit, Warn
from caudal.records import Item, Records

_OPS = ("put", "delete", "event")  # no array yet: the first one imports pandas, where there is one
_NAMES = ("op", "id", "time", "why", "row")


class CaudalForm(Form):
    """`{"op","id","time","row","why"}`, as the store and the event log write it."""

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self._row = _Row(contract, ("row",))
        self._reader = Reader((
            *(Member(name, Kind.TEXT) for name in ("op", "id", "why")), Member("time", Kind.INTEGER),
            Member("row", Kind.OBJECT, self._row.members, Flag.NOTED),
        ))

    def columns(self, records: Records) -> Columns:
        read = self._reader.read(records)
        op, id, time, why, row = (read.columns[name,] for name in _NAMES)
        fits = (pa.array(~read.odd), row, pc.is_in(op, pa.array(_OPS)), id.is_valid(), time.is_valid())
        return Columns(op, why, time, id, self._row.values(read), reduce(pc.and_, fits), read.unknown)

    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        wire = parse_object(raw)
        check_single(wire, _NAMES)
        if wire.get("op") == "rejected":
            raise _already(wire)
        op, id, why, row = (wire.get(name) for name in ("op", "id", "why", "row"))
        time: Any = wire.get("time")
        if op not in ("put", "delete", "event") or not _is_text(id) or not (why is None or _is_text(why)):
            raise Misfit("not_a_change", "a record has an op and an id")
        is_number = isinstance(time, int | Decimal) and not isinstance(time, bool)
        if not is_number or not FIRST_TIME <= time <= LAST_TIME or time != int(time):
            raise Misfit("not_a_change", "a record has a time, in microseconds")
        if not isinstance(row, dict):
            raise Misfit("not_a_change", "a record has a row")
        return Seen(op, why, int(time), id, self._row.item(row, raw))


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _already(wire: dict[str, Any]) -> Misfit:
    why, detail, raw = (wire.get(name) for name in ("why", "detail", "raw"))
    if not (_is_text(why) and _is_text(detail) and isinstance(raw, str)):
        return Misfit("not_a_change", "a rejected record has why, detail and raw")
    return Already(why, detail, raw)


class PlainForm(Form):
    """A JSON object a record, with nothing around it: an event that is known by its place in the stream."""

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self._row = _Row(contract, ())
        self._reader = Reader(self._row.members, Flag.NOTED)
        self._op = "put" if contract.key else "event"

    def columns(self, records: Records) -> Columns:
        n = len(records)
        read = self._reader.read(records)
        places = pa.array(np.arange(records.first, records.first + n)).cast(pa.string())
        ids = pc.binary_join_element_wise(pa.scalar(str(records.shard)), places, "-")
        return Columns(
            pa.repeat(self._op, n), pa.nulls(n, pa.string()), pa.array(records.times), ids, self._row.values(read),
            pa.array(~read.odd), read.unknown,
        )

    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        return Seen(self._op, None, arrived, f"{shard}-{position}", self._row.item(parse_object(raw), raw))


class _Row:
    """A contract's columns as members of a JSON object: the record, or one inside it.

    Args:
        inside: path of that object.
    """

    def __init__(self, contract: Contract, inside: Names) -> None:
        self.contract = contract
        self.members = tuple(map(member_of, contract.columns))
        self._paths = [
            (*inside, column.name, *(["$bytes"] if column.kind == "bytes" else ())) for column in contract.columns
        ]
        self._json = [column.name for column in contract.columns if column.kind == "json"]
        self._single = [column.name for column in contract.columns if column.kind != "json"]  # of nested ones the last counts
        row: Any = msgspec.defstruct("Row", [(name, msgspec.Raw, msgspec.Raw(b"null")) for name in self._json], frozen=True)
        for name in reversed(inside):
            row = msgspec.defstruct("Record", [("inner", row, row())], rename={"inner": name}, frozen=True)
        self._nested = msgspec.json.Decoder(row)
        self._depth = len(inside)

    def values(self, read: Read) -> list[pa.Array]:
        """The columns in the contract's order, typed."""
        return [read.columns[path] for path in self._paths]

    def item(self, row: dict[str, Any], raw: bytes) -> Item:
        """The row that was parsed from `raw`, with lists and objects as the text in which they came. Raises Misfit."""
        check_single(row, self._single)
        for column in self.contract.columns:
            if column.kind == "bytes":
                check_single(row.get(column.name), ("$bytes",))
        if not self._json:
            return row
        try:
            found: Any = self._nested.decode(raw)
        except UNREADABLE:
            return row
        for _ in range(self._depth):
            found = found.inner
        texts = {name: bytes(getattr(found, name)).decode() for name in self._json}
        if any(text != "null" and text[0] not in "[{" for text in texts.values()):
            return row
        return row | {name: JsonText(text) for name, text in texts.items() if text != "null"}
