"""What a record's bytes look like, and where in them the change and its item are."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from json import JSONDecodeError, JSONDecoder
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from caudal.contract import Column, Contract
from caudal.ingest.transform.values import Misfit, NoNumber, Warn
from caudal.records import Item, Records


@dataclass(frozen=True)
class Seen:
    """One record, read slowly."""

    op: str
    reason: str | None
    event_time: int
    event_id: str
    item: Item


@dataclass(frozen=True)
class Columns:
    """Many records, read fast: arrays of one length, with one entry a record."""

    op: pa.Array
    reason: pa.Array
    event_time: pa.Array
    """int64, microseconds since 1970, UTC."""
    event_id: pa.Array
    values: list[pa.Array]
    """One a contract column, of the column's own type."""
    fits: pa.Array | None = None
    """False where the slow path must look; None if all fit as far as the form can tell."""
    warnings: dict[str, pa.Array] = field(default_factory=dict)
    """Name of what is lossy but allowed, and where it was seen."""


class Form(ABC):
    """A format of records. `schema` is what pyarrow reads of them; both paths must agree on every record.

    What is not in the schema is not looked at: it may hold a name twice, or numbers of any size.
    """

    schema: pa.Schema
    has_fast_path = True

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._check: msgspec.json.Decoder[Any] | None = None

    @abstractmethod
    def columns(self, parsed: pa.Table, records: Records) -> Columns:
        """Flatten what was parsed. Raises pa.ArrowInvalid if a value does not fit its type."""

    @abstractmethod
    def shape(self) -> Any:
        """A msgspec type that records which fit have, near enough to find most of those that do not."""

    def suspects(self, records: Records) -> npt.NDArray[np.int64]:
        """Indices of records that do not even have the right shape."""
        if self._check is None:
            self._check = msgspec.json.Decoder(self.shape())
        check, found = self._check.decode, []
        for index in range(len(records)):
            try:
                check(records.raw(index))
            except UNREADABLE:
                found.append(index)
        return np.array(found, np.int64)

    @abstractmethod
    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        """Read one record. Raises Misfit."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it cannot read."""

def parse(records: Records, schema: pa.Schema) -> pa.Table:
    """Records, one JSON object a line, as a table of `schema`. Raises pa.ArrowInvalid."""
    parsed = pj.read_json(
        pa.BufferReader(records.data),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(records.data) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    if len(parsed) != len(records):
        raise pa.ArrowInvalid(f"{len(parsed)} objects in {len(records)} records")
    return parsed.select(schema.names)


def blanked(records: Records, where: npt.NDArray[np.int64]) -> Records:
    """The records with those at the indices `where` made empty objects."""
    lines = [records.raw(index) for index in range(len(records))]
    for index in where.tolist():
        lines[index] = b"{}\n"
    made = Records.of(records.shard, records.first, lines)
    return Records(made.shard, made.first, made.offsets, made.data, records.times)


def taken(records: Records, where: npt.NDArray[np.int64]) -> Records:
    """The records at the indices `where` alone, for `parse`: their positions are not kept."""
    values = records.values.take(pa.array(where))
    _, offsets, data = values.buffers()
    return Records(
        records.shard, records.first, np.frombuffer(offsets, np.int64)[: len(where) + 1], memoryview(data), records.times[where]
    )


def row_shape(contract: Contract) -> Any:
    """The msgspec type of a JSON object with the contract's columns."""
    kinds: dict[str, Any] = {"string": str, "int": int, "decimal": Decimal, "float": float, "bool": bool,
                             "date": str, "timestamp": str, "bytes": dict[str, str], "json": list[Any] | dict[str, Any]}
    return msgspec.defstruct("Row", [
        (column.name, kinds[column.kind] | None, None) if column.nullable else (column.name, kinds[column.kind])
        for column in sorted(contract.columns, key=lambda column: column.nullable)
    ])


def json_type(column: Column) -> pa.DataType:
    """The type that pyarrow's JSON reader is asked for; what it cannot read exactly is read as text first."""
    if column.kind == "date":
        return pa.string()
    return column.arrow


def from_json_type(column: Column, values: pa.Array) -> pa.Array:
    """From `json_type` to the column's own type. Raises pa.ArrowInvalid."""
    if column.kind != "date":
        return values
    if pc.any(pc.not_equal(pc.binary_length(values), 10)).as_py():
        raise pa.ArrowInvalid("not a date")
    return values.cast(pa.date32())


def parse_object(raw: bytes) -> dict[str, Any]:
    """One JSON object, numbers exact. Raises Misfit."""
    value = parse_value(raw)
    if not isinstance(value, dict):
        raise Misfit("not_an_object", "a record is one JSON object")
    return value


def parse_value(raw: bytes) -> Any:
    """One JSON value, numbers exact. Raises Misfit."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misfit("invalid_utf8", f"byte {error.start} is not UTF-8") from None
    try:
        try:
            return _json.decode(text)
        except JSONDecodeError:
            if "Inf" not in text:
                raise
            return _json.decode(_INF.sub(lambda found: found[1] or "NaN", text))
    except JSONDecodeError as error:
        raise Misfit("invalid_json", f"at character {error.pos}: {error.msg}") from None
    except RecursionError:
        raise Misfit("invalid_json", "nested too deeply") from None


class _Doubled(dict[str, Any]):
    """An object with a name twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.doubled = {name for name in names if names.count(name) > 1}


def check_single(value: Any, names: Iterable[str]) -> None:
    """Raises Misfit if an object that was parsed has one of the names twice: which of them is meant?"""
    if isinstance(value, _Doubled) and not value.doubled.isdisjoint(names):
        raise Misfit("duplicate_key", "an object has the same name twice")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else _Doubled(pairs)


def _int(text: str) -> int | Decimal | NoNumber:
    return int(text) if len(text) < 400 else _decimal(text)


def _decimal(text: str) -> Decimal | NoNumber:
    try:
        return Decimal(text)
    except InvalidOperation:
        return NoNumber("number_format", "a number is out of every range")


def _constant(text: str) -> NoNumber:
    return NoNumber("invalid_json", "NaN and Infinity are not JSON")


_json = JSONDecoder(object_pairs_hook=_pairs, parse_float=_decimal, parse_int=_int, parse_constant=_constant)
_INF = re.compile(r'("(?:[^"\\]|\\.)*")|-?\bInf\b')
"""Inf, which pyarrow reads beside Infinity, outside of texts."""
