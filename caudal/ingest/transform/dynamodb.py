"""DynamoDB's change records as Kinesis delivers them: typed attributes, images, times in three units."""

import base64
import binascii
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Column, Contract
from caudal.ingest.transform.form import Columns, Form, Seen, Warn, blanked, from_json_type, json_type, parse, parse_object
from caudal.ingest.transform.values import FIRST_TIME, LAST_TIME, Misfit
from caudal.records import Records

_TAG = {"string": "S", "int": "N", "decimal": "N", "float": "N", "bool": "BOOL", "date": "S", "timestamp": "S"}
"""The attribute type that a column is read from; what is not here takes the slow path."""

_OPS = pa.array(["INSERT", "MODIFY", "REMOVE"])


class DynamodbForm(Form):
    """`{"eventID","eventName","dynamodb":{"ApproximateCreationDateTime","NewImage","OldImage",…},"userIdentity"}`."""

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self._fast = all(column.kind in _TAG for column in contract.columns)
        self._image = pa.struct([pa.field(column.name, _attribute(column)) for column in contract.columns if column.kind in _TAG])
        self.schema = self._schema("NewImage")

    def _schema(self, image: str) -> pa.Schema:
        return pa.schema([
            ("eventID", pa.string()), ("eventName", pa.string()),
            ("userIdentity", pa.struct([("type", pa.string()), ("principalId", pa.string())])),
            ("dynamodb", pa.struct([
                ("ApproximateCreationDateTime", pa.int64()), ("ApproximateCreationDateTimePrecision", pa.string()),
                (image, self._image),
            ])),
        ])

    def columns(self, parsed: pa.Table, records: Records, warn: Warn) -> Columns:
        if not self._fast:
            raise pa.ArrowInvalid("bytes and nested values are read one by one")
        name = parsed["eventName"].combine_chunks()
        removed = pc.fill_null(pc.equal(name, "REMOVE"), False)
        time, _, image = parsed["dynamodb"].combine_chunks().flatten()
        if pc.any(removed).as_py():
            kept = np.flatnonzero(~removed.to_numpy(zero_copy_only=False))
            old = parse(blanked(records, kept), self._schema("OldImage"))
            image = pc.if_else(removed, old["dynamodb"].combine_chunks().flatten()[2], image)
        fits = pc.and_(pc.is_in(name, _OPS), pc.and_(image.is_valid(), parsed["eventID"].combine_chunks().is_valid()))
        values = []
        for column, attribute in zip(self.contract.columns, image.flatten(), strict=True):
            value, null = attribute.flatten()
            # An attribute of another type leaves both empty: the slow path says so.
            fits = pc.and_(fits, pc.or_(attribute.is_null(), pc.or_(value.is_valid(), null.is_valid())))
            values.append(_typed(column, value))
        identity = parsed["userIdentity"].combine_chunks().flatten()[1]
        expired = pc.and_(removed, pc.fill_null(pc.equal(identity, "dynamodb.amazonaws.com"), False))
        reason = pc.if_else(expired, "ttl", pc.if_else(removed, "user", pa.scalar(None, pa.string())))
        return Columns(pc.if_else(removed, "delete", "put"), reason, _micros(time, warn),
                       parsed["eventID"].combine_chunks(), values, pc.fill_null(pc.and_(fits, time.is_valid()), False))

    def shape(self) -> Any:
        return msgspec.defstruct("Record", [("eventID", str), ("eventName", str), ("dynamodb", dict[str, Any])])

    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        wire = parse_object(raw)
        name, inner = wire.get("eventName"), wire.get("dynamodb")
        if name not in ("INSERT", "MODIFY", "REMOVE") or not isinstance(inner, dict) or not isinstance(wire.get("eventID"), str):
            raise Misfit("not_a_change", "a DynamoDB change has an eventID, an eventName and dynamodb")
        image = inner.get("OldImage" if name == "REMOVE" else "NewImage")
        if not isinstance(image, dict):
            raise Misfit("no_image", "the change has no image: the stream's view type must be NEW_AND_OLD_IMAGES")
        item = {column.name: untyped(image[column.name]) for column in self.contract.columns if column.name in image}
        item = binary_by_size(inner, image, item, warn)
        time = inner.get("ApproximateCreationDateTime")
        if not isinstance(time, int | Decimal) or isinstance(time, bool):
            raise Misfit("timestamp_format", "ApproximateCreationDateTime is not a number")
        identity = wire.get("userIdentity")
        by_ttl = isinstance(identity, dict) and identity.get("principalId") == "dynamodb.amazonaws.com"
        reason = ("ttl" if by_ttl else "user") if name == "REMOVE" else None
        return Seen("delete" if name == "REMOVE" else "put", reason, micros_of(time, warn), wire["eventID"], item)


def _attribute(column: Column) -> pa.DataType:
    kind = column.arrow if column.kind == "decimal" else pa.string() if _TAG[column.kind] == "N" else json_type(column)
    return pa.struct([pa.field(_TAG[column.kind], kind), pa.field("NULL", pa.bool_())])


def _typed(column: Column, values: pa.Array) -> pa.Array:
    if column.kind in ("int", "float"):
        return values.cast(column.arrow)  # N is text
    return from_json_type(column, values)


def _micros(times: pa.Array, warn: Warn) -> pa.Array:
    """Seconds, milliseconds or microseconds, told apart by size, as microseconds."""
    if pc.any(pc.greater_equal(times, 10**14)).as_py():
        warn("precision_inferred")
    factor = pc.if_else(pc.less(times, 10**11), 10**6, pc.if_else(pc.less(times, 10**14), 10**3, 1))
    return pc.multiply_checked(times, factor.cast(pa.int64()))


def micros_of(time: int | Decimal, warn: Warn) -> int:
    """One time as microseconds since 1970: seconds, milliseconds or microseconds, told apart by size."""
    if time >= 10**14:
        warn("precision_inferred")
    made = int(time * (10**6 if time < 10**11 else 10**3 if time < 10**14 else 1))
    if not FIRST_TIME <= made <= LAST_TIME:
        raise Misfit("timestamp_format", "ApproximateCreationDateTime is past the year 9999")
    return made


def untyped(attribute: Any) -> Any:
    """The value of `{"N": "5"}`; walks by position, so a map's own keys S, M or L stay keys. Raises Misfit."""
    if not isinstance(attribute, dict) or len(attribute) != 1:
        raise Misfit("attribute_format", "an attribute is one type and its value")
    ((tag, value),) = attribute.items()
    try:
        return _UNTYPED[tag](value)
    except KeyError:
        raise Misfit("attribute_format", "an attribute is of no type that DynamoDB has") from None
    except (TypeError, ValueError, AttributeError, InvalidOperation, binascii.Error):
        raise Misfit("attribute_format", f"the value of an attribute of type {tag} is malformed") from None


def _number(text: str) -> int | Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    if len(digits) > 38:
        raise Misfit("number_precision", "a number has more than 38 digits, which DynamoDB cannot hold")
    return int(number) if number == number.to_integral_value() and number.adjusted() < 38 else number


_UNTYPED: dict[str, Any] = {
    "S": str, "N": _number, "BOOL": bool, "NULL": lambda _: None, "B": lambda text: base64.b64decode(text, validate=True),
    "L": lambda values: [untyped(value) for value in values],
    "M": lambda members: {name: untyped(value) for name, value in members.items()},
    "SS": sorted, "NS": lambda texts: sorted(map(_number, texts)),
    "BS": lambda texts: sorted(base64.b64decode(text, validate=True) for text in texts),
}


def binary_by_size(inner: dict[str, Any], image: dict[str, Any], item: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """Decode binary a second time where SizeBytes proves that the stream encoded it twice.

    SizeBytes is the sum over keys and images of names and values (amazon-kinesis-client#959).
    """
    twice = {name: again for name, value in item.items() if isinstance(value, bytes) and (again := _again(value)) is not None}
    if not twice:
        return item
    size = inner.get("SizeBytes")
    if not isinstance(size, int):
        warn("binary_depth_ambiguous")
        return item
    parts = [inner.get(part) for part in ("Keys", "NewImage", "OldImage")]
    once = sum(_size(part) for part in parts if isinstance(part, dict))
    shrink = sum(len(item[name]) - len(again) for name, again in twice.items())
    if size == once:
        return item
    if size == once - shrink:
        return {**item, **twice}
    warn("binary_depth_ambiguous")
    return item


def _again(value: bytes) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True) if value else None
    except binascii.Error:
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
        return (len("".join(map(str, Decimal(value).as_tuple().digits)).strip("0")) + 1) // 2 + 1
    return 3 + (len(value) if isinstance(value, list) else 0)
