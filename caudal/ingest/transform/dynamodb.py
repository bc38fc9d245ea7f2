"""DynamoDB's change records as Kinesis delivers them: typed attributes, images, times in three units."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Column, Contract
from caudal.ingest.transform.compiled import Flag, Kind, Member, Names, Read, Reader
from caudal.ingest.transform.form import Columns, Form, Seen, check_single, member_of, parse_object
from caudal.ingest.transform.values import FIRST_TIME, LAST_TIME, Misfit, Warn, number_of, significant_digits
from caudal.records import Records

_TAG = {"string": "S", "int": "N", "decimal": "N", "float": "N", "bool": "BOOL", "date": "S", "timestamp": "S"}
"""The attribute type that a column is read from; what is not here takes the slow path."""

_OPS = ("INSERT", "MODIFY", "REMOVE")  # no array yet: the first one imports pandas, where there is one

MILLISECONDS = 10**11
"""From here on, in the year 5138, a number of seconds since 1970 is taken for one of milliseconds."""

DIGITS = 38
"""Significant digits that a number can have."""


class DynamodbForm(Form):
    """`{"eventID","eventName","dynamodb":{"ApproximateCreationDateTime","NewImage","OldImage",…},"userIdentity"}`."""

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self._is_flat = all(column.kind in _TAG for column in contract.columns)
        attributes = tuple(_attribute(column) for column in contract.columns if column.kind in _TAG)
        new, old = (Member(name, Kind.OBJECT, attributes, Flag.NOTED) for name in ("NewImage", "OldImage"))
        about = (Member("ApproximateCreationDateTime", Kind.INTEGER), Member("ApproximateCreationDateTimePrecision", Kind.TEXT))
        self._changes = Reader((
            Member("eventID", Kind.TEXT), Member("eventName", Kind.TEXT), Member("dynamodb", Kind.OBJECT, (*about, new)),
        ))
        self._removed = Reader((
            Member("userIdentity", Kind.OBJECT, (Member("principalId", Kind.TEXT),)), Member("dynamodb", Kind.OBJECT, (old,)),
        ))

    def columns(self, records: Records) -> Columns | None:
        if not self._is_flat:
            return None
        read = self._changes.read(records)
        id, name = read.columns["eventID",], read.columns["eventName",]
        time, precision = (read.columns["dynamodb", f"ApproximateCreationDateTime{more}"] for more in ("", "Precision"))
        image, odd, unknown = _image(read, "NewImage"), read.odd, read.unknown
        reason = pa.nulls(len(records), pa.string())
        removed = pc.fill_null(pc.equal(name, "REMOVE"), False)
        if pc.any(removed).as_py():
            where = np.flatnonzero(removed.to_numpy(zero_copy_only=False))
            gone = self._removed.read(records, where)
            which = np.arange(len(records))
            which[where] = len(records) + np.arange(len(where))
            old = _image(gone, "OldImage")
            image = {path: pa.concat_arrays([values, old[path]]).take(pa.array(which)) for path, values in image.items()}
            odd[where] |= gone.odd
            unknown[where] = gone.unknown
            expired = pc.fill_null(pc.equal(gone.columns["userIdentity", "principalId"], "dynamodb.amazonaws.com"), False)
            reason = pc.replace_with_mask(reason, removed, pc.if_else(expired, "ttl", "user"))
        sane = pc.fill_null(pc.and_(pc.greater_equal(time, -MILLISECONDS), pc.less_equal(time, LAST_TIME)), False)
        fits = [pa.array(~odd), pc.is_in(name, pa.array(_OPS)), id.is_valid(), image[()], sane]
        values = []
        for column in self.contract.columns:
            value = image[column.name, _TAG[column.kind]]
            if _is_expiry(column):
                seconds = image[column.name, "N"]
                inside = pc.and_(pc.greater_equal(seconds, 0), pc.less(seconds, MILLISECONDS))
                others = [value, *([image[column.name, "NULL"]] if column.nullable else [])]
                fits.append(pc.fill_null(reduce(pc.and_, (inside, *(other.is_null() for other in others))), True))
                value = pc.coalesce(value, pc.multiply(seconds, 10**6).cast(value.type))
            values.append(value)
        inferred = pc.and_(precision.is_null(), pc.fill_null(pc.greater_equal(time, 10**14), False))
        return Columns(
            pc.if_else(removed, "delete", "put"), reason, _micros(pc.if_else(sane, time, 0)), id, values, reduce(pc.and_, fits),
            unknown, {"precision_inferred": inferred},
        )

    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        wire = parse_object(raw)
        name, inner, id = wire.get("eventName"), wire.get("dynamodb"), wire.get("eventID")
        check_single(wire, ("eventID", "eventName", "dynamodb"))
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


def _attribute(column: Column) -> Member:
    """A column's attribute: an object with its type and value, or that it is NULL."""
    tags = [_TAG[column.kind], *(["NULL"] if column.nullable else []), *(["N"] if _is_expiry(column) else [])]
    flags = Flag.FILLED | Flag.CLOSED if _is_expiry(column) else Flag.FILLED
    return Member(column.name, Kind.OBJECT, tuple(_value_of(column, tag) for tag in tags), flags)


def _value_of(column: Column, tag: str) -> Member:
    if tag == "NULL":
        return Member(tag, Kind.BOOLEAN)
    if tag == "N" and _TAG[column.kind] != "N":
        return Member(tag, Kind.INTEGER, flags=Flag.QUOTED)
    return replace(member_of(column), name=tag, flags=Flag.QUOTED if tag == "N" else 0)


def _is_expiry(column: Column) -> bool:
    """Whether DynamoDB has the column's time as a number of seconds."""
    return column.ttl and column.kind == "timestamp"


def _image(read: Read, name: str) -> dict[Names, pa.Array]:
    """The columns of an image by path in it; of the image itself, whether it is there."""
    return {path[2:]: values for path, values in read.columns.items() if path[:2] == ("dynamodb", name)}


def _micros(times: pa.Array) -> pa.Array:
    """Seconds, milliseconds or microseconds, told apart by size, as microseconds."""
    factor = pc.if_else(pc.less(times, MILLISECONDS), 10**6, pc.if_else(pc.less(times, 10**14), 10**3, 1))
    return pc.multiply(times, factor.cast(pa.int64()))


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
    if _is_expiry(column) and isinstance(attribute, dict):
        given = {tag: value for tag, value in attribute.items() if value is not None}
        if list(given) == ["N"]:
            check_single(attribute, attribute)
            return _expiry(untyped(given), warn)
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
