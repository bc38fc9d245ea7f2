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

from caudal.contract import Column, Contract
from caudal.ingest.transform.compiled import Flag, Kind, Member
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
    fits: pa.Array
    """False where the exact path must look; the entries there mean nothing."""
    unknown: npt.NDArray[np.bool_]
    """Where the item has a member that is no column."""
    warnings: dict[str, pa.Array] = field(default_factory=dict)
    """Name of what is lossy but allowed, and where it was seen."""


class Form(ABC):
    """A format of records, read by whole batches and one by one; both ways must agree on every record that the first takes.

    What is no column is not looked at: it may hold a name twice, or numbers of any size.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def columns(self, records: Records) -> Columns | None:
        """Read records at once; None if they must be read one by one. Never raises for what is in one."""
        return None

    @abstractmethod
    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        """Read one record. Raises Misfit."""


def member_of(column: Column) -> Member:
    """The member of a JSON object that a column is read from."""
    if column.kind == "bytes":
        return Member(column.name, Kind.OBJECT, (Member("$bytes", Kind.BYTES),), Flag.CLOSED | Flag.FILLED)
    return Member(column.name, KINDS[column.kind], type=column.arrow if column.kind == "decimal" else None)


KINDS = {"string": Kind.TEXT, "int": Kind.INTEGER, "decimal": Kind.DECIMAL, "float": Kind.FLOAT, "bool": Kind.BOOLEAN,
         "date": Kind.DATE, "timestamp": Kind.TIME, "json": Kind.NESTED}
"""Kind of column to kind of member."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it cannot read."""


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
"""Inf, which some write for Infinity, outside of texts."""
