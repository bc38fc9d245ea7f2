"""DynamoDB's change records as Kinesis delivers them: typed attributes, images, times in three units."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Column, Contract
from caudal.ingest.transform.form import (
    Columns,
    Form,
    Seen,
    check_single,
    from_json_type,
    json_type,
    parse,
    parse_object,
    taken,
)
from caudal.ingest.transform.values import FIRST_TIME, LAST_TIME, Misfit, Warn, number_of, significant_digits
from caudal.records import Records

_TAG = {"string": "S", "int": "N", "decimal": "N", "float": "N", "bool": "BOOL", "date": "S", "timestamp": "S"}
"""The attribute type that a column is read from; what is not here takes the slow path."""

_OPS = pa.array(["INSERT", "MODIFY", "REMOVE"])

MILLISECONDS = 10**11
"""From here on, in the year 5138, a number of seconds since 1970 is taken for one of milliseconds."""

DIGITS = 38
"""Significant digits that a number can have."""


class DynamodbForm(Form):
    """`{"eventID","eventName","dynamodb":{"ApproximateCreationDateTime","NewImage","OldImage",…},"userIdentity"}`."""

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self.has_fast_path = all(column.kind in _TAG for column in contract.columns)
        self._image = pa.struct([pa.field(column.name, _attribute(column)) for column in contract.columns if column.kind in _TAG])
        inner = [("ApproximateCreationDateTime", pa.int64()), ("ApproximateCreationDateTimePrecision", pa.string())]
        self.schema = pa.schema([
            ("eventID", pa.string()), ("eventName", pa.string()), ("dynamodb", pa.struct([*inner, ("NewImage", self._image)])),
        ])
        self._removed = pa.schema([
            ("userIdentity", pa.struct([("principalId", pa.string())])), ("dynamodb", pa.struct([("OldImage", self._image)])),
        ])

    def columns(self, parsed: pa.Table, records: Records) -> Columns:
        name = parsed["eventName"].combine_chunks()
        removed = pc.fill_null(pc.equal(name, "REMOVE"), False)
        time, precision, image = parsed["dynamodb"].combine_chunks().flatten()
        reason = pa.nulls(len(records), pa.string())
        if pc.any(removed).as_py():
            where = np.flatnonzero(removed.to_numpy(zero_copy_only=False))
            seen = parse(taken(records, where), self._removed).columns
            identity, old = (column.combine_chunks().flatten()[0] for column in seen)
            which = np.arange(len(records))
            which[where] = len(records) + np.arange(len(where))
            image = pa.concat_arrays([image, old]).take(pa.array(which))
            expired = pc.fill_null(pc.equal(identity, "dynamodb.amazonaws.com"), False)
            reason = pc.replace_with_mask(reason, removed, pc.if_else(expired, "ttl", "user"))
        id = parsed["eventID"].combine_chunks()
        fits = pc.and_(pc.and_(pc.is_in(name, _OPS), time.is_valid()), pc.and_(image.is_valid(), id.is_valid()))
        values = []
        for column, attribute in zip(self.contract.columns, image.flatten(), strict=True):
            value, *null = attribute.flatten()
            # An attribute of another type leaves all of it empty: the slow path says so.
            told = reduce(pc.or_, (attribute.is_null(), value.is_valid(), *(each.is_valid() for each in null)))
            fits = pc.and_(fits, told)
            if column.kind in ("int", "float"):
                fits = pc.and_(fits, pc.fill_null(pc.less_equal(pc.binary_length(value), DIGITS), True))
            values.append(_typed(column, value))
        inferred = pc.and_(precision.is_null(), pc.fill_null(pc.greater_equal(time, 10**14), False))
        op = pc.if_else(removed, "delete", "put")
        return Columns(op, reason, _micros(time), id, values, fits, {"precision_inferred": inferred})

    def shape(self) -> Any:
        return msgspec.defstruct("Record", [("eventID", str), ("eventName", str), ("dynamodb", dict[str, Any])])

    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        wire = parse_object(raw)
        name, inner, id = wire.get("eventName"), wire.get("dynamodb"), wire.get("eventID")
        check_single(wire, self.schema.names)
        if name not in ("INSERT", "MODIFY", "REMOVE") or not isinstance(inner, dict) or not isinstance(id, str):
            raise Misfit("not_a_change", "a DynamoDB change has an eventID, an eventName and dynamodb")
        which = "OldImage" if name == "REMOVE" else "NewImage"
        check_single(inner, ("ApproximateCreationDateTime", "ApproximateCreationDateTimePrecision", which))
        image = inner.get(which)
        if not isinstance(image, dict):
            raise Misfit("no_image", "the change has no image: the stream's view type must be NEW_AND_OLD_IMAGES")
        check_single(image, (column.name for column in self.contract.columns))
        item = {column.name: _value(column, image.get(column.name), warn) for column in self.contract.columns}
        item = binary_by_size(inner, item, warn)
        time = inner.get("ApproximateCreationDateTime")
        if not isinstance(time, int | Decimal) or isinstance(time, bool):
            raise Misfit("timestamp_format", "ApproximateCreationDateTime is not a number")
        if time >= 10**14 and inner.get("ApproximateCreationDateTimePrecision") is None:
            warn("precision_inferred")
        identity = wire.get("userIdentity")
        by_ttl = isinstance(identity, dict) and identity.get("principalId") == "dynamodb.amazonaws.com"
        reason = ("ttl" if by_ttl else "user") if name == "REMOVE" else None
        return Seen("delete" if name == "REMOVE" else "put", reason, micros_of(time), _unbroken(id), item)


def _attribute(column: Column) -> pa.DataType:
    kind = column.arrow if column.kind == "decimal" else pa.string() if _TAG[column.kind] == "N" else json_type(column)
    null = [pa.field("NULL", pa.bool_())] if column.nullable else []  # an eighth of the parser's time
    return pa.struct([pa.field(_TAG[column.kind], kind), *null])


def _typed(column: Column, values: pa.Array) -> pa.Array:
    if column.kind not in ("int", "float"):
        return from_json_type(column, values)
    if pc.any(pc.match_substring(values, "x", ignore_case=True)).as_py():
        raise pa.ArrowInvalid("hexadecimal")
    return values.cast(column.arrow)  # N is text


def _micros(times: pa.Array) -> pa.Array:
    """Seconds, milliseconds or microseconds, told apart by size, as microseconds."""
    factor = pc.if_else(pc.less(times, 10**11), 10**6, pc.if_else(pc.less(times, 10**14), 10**3, 1))
    return pc.multiply_checked(times, factor.cast(pa.int64()))


def micros_of(time: int | Decimal) -> int:
    """One time as microseconds since 1970: seconds, milliseconds or microseconds, told apart by size. Raises Misfit."""
    if not FIRST_TIME <= time <= LAST_TIME:
        raise Misfit("timestamp_format", "ApproximateCreationDateTime is outside the years 1 to 9999")
    made = int(time * (10**6 if time < 10**11 else 10**3 if time < 10**14 else 1))
    if not FIRST_TIME <= made <= LAST_TIME:
        raise Misfit("timestamp_format", "ApproximateCreationDateTime is outside the years 1 to 9999")
    return made


def _unbroken(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Misfit("invalid_unicode", "eventID has half a surrogate pair") from None
    return text


def _value(column: Column, attribute: Any, warn: Warn) -> Any:
    """What an attribute holds for a column. Raises Misfit."""
    if attribute is None or column.kind not in _TAG:
        return None if attribute is None else untyped(attribute)
    if column.ttl and column.kind == "timestamp" and isinstance(attribute, dict) and list(attribute) == ["N"]:
        return _expiry(untyped(attribute), warn)
    tag = _TAG[column.kind]
    check_single(attribute, (tag, "NULL") if column.nullable else (tag,))
    if isinstance(attribute, dict) and attribute.get(tag) is not None:
        return untyped({tag: attribute[tag]})
    if isinstance(attribute, dict) and attribute.get("NULL") is not None:
        return None
    return untyped(attribute)


def _expiry(seconds: int | Decimal, warn: Warn) -> datetime | None:
    """DynamoDB takes the number of a TTL attribute for seconds since 1970, and never expires what is said in another unit."""
    if not 0 <= seconds < MILLISECONDS:
        warn("ttl_unit")
        return None
    return datetime.fromtimestamp(int(seconds), UTC)


def untyped(attribute: Any) -> Any:
    """The value of `{"N": "5"}`; walks by position, so a map's own keys S, M or L stay keys. Raises Misfit."""
    if not isinstance(attribute, dict) or len(attribute) != 1:
        raise Misfit("attribute_format", "an attribute is one type and its value")
    ((tag, value),) = attribute.items()
    if tag not in _UNTYPED:
        raise Misfit("attribute_format", "an attribute is of no type that DynamoDB has")
    kinds, read = _UNTYPED[tag]
    try:
        if isinstance(value, kinds) and isinstance(value, bool) is (kinds is bool):
            return read(value)
    except ValueError:
        pass
    raise Misfit("attribute_format", f"the value of an attribute of type {tag} is malformed")


def _number(value: str | int | Decimal) -> int | Decimal:
    number = number_of(value) if isinstance(value, str) else Decimal(value)
    if significant_digits(number) > DIGITS:
        raise Misfit("number_precision", "a number has more than 38 digits, which DynamoDB cannot hold")
    return int(number) if number.adjusted() < DIGITS and number == number.to_integral_value() else number


def _binary(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)


def _each(read: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda values: sorted(map(read, values))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


_UNTYPED: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "S": (str, str), "N": (str | int | Decimal, _number), "BOOL": (bool, bool), "B": (str, _binary),
    "NULL": (bool, lambda _: None),
    "L": (list, lambda values: [untyped(value) for value in values]),
    "M": (dict, lambda members: {name: untyped(value) for name, value in members.items()}),
    "SS": (list, _each(_text)), "NS": (list, _each(lambda text: _number(_text(text)))),
    "BS": (list, _each(lambda text: _binary(_text(text)))),
}
"""Attribute type to the JSON types that its value may have, and how that is read."""


def binary_by_size(inner: dict[str, Any], item: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """Decode binary a second time where SizeBytes proves that the stream encoded it twice.

    SizeBytes is the sum over keys and images of names and values (amazon-kinesis-client#959).
    """
    twice = {name: again for name, value in item.items() if isinstance(value, bytes) and (again := _again(value)) is not None}
    if not twice:
        return item
    parts = [inner.get(part) for part in ("Keys", "NewImage", "OldImage")]
    try:
        once = sum(_size(part) for part in parts if isinstance(part, dict))
    except Misfit:
        once = -1  # an attribute that is no column is malformed
    shrink = sum(len(item[name]) - len(again) for name, again in twice.items())
    if inner.get("SizeBytes") == once:
        return item
    if inner.get("SizeBytes") == once - shrink:
        return item | twice
    warn("binary_depth_ambiguous")
    return item


def _again(value: bytes) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True) if value else None
    except ValueError:
        return None


def _size(attributes: dict[str, Any]) -> int:
    return sum(len(name.encode()) + _value_size(value) for name, value in attributes.items())


def _value_size(attribute: Any) -> int:
    """Bytes of a value by the rules of DynamoDB's item sizes, for the types that stand beside a binary here."""
    value = untyped(attribute)
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bool) or value is None:
        return 1
    if isinstance(value, int | Decimal):
        return (significant_digits(Decimal(value)) + 1) // 2 + 1
    return 3 + (len(value) if isinstance(value, list) else 0)
