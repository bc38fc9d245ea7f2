"""An item as bytes: JSON whose numbers are exact, and keys whose bytes sort as their values do.

Values are str, int, Decimal, float, bool, None, bytes, list, dict and set, as in DynamoDB: whole numbers of up to 38 digits
come back as int, others as Decimal, whichever way they went in. Dates and datetimes go in as ISO 8601 text, datetimes in
UTC with six digits of a second, so that text sorts as time. Bytes are `{"$bytes": base64}`, sets of text, of numbers or of
bytes `{"$set": […]}`, sorted.
"""

import base64
from collections.abc import Sequence, Set
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import msgspec

from caudal.contract import Contract
from caudal.errors import InvalidItem, UsageError
from caudal.records import Item

DIGITS = 38
"""Significant digits of a number: DynamoDB's limit, and that of decimals in Arrow, Parquet and Iceberg."""

DEPTH = 32
"""How deep lists and dicts may lie in each other: DynamoDB's limit."""

_LARGEST = 10**DIGITS
_SUM = Context(prec=400)  # enough for 1E+125 + 1E-130: a sum is exact, or refused when it is stored
_PLAIN = frozenset({str, bool, type(None)})
_SET_KINDS = {str: "text", bytes: "bytes", int: "number", Decimal: "number", float: "number"}
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def encode_item(item: Item) -> bytes:
    """The item's JSON. Raises InvalidItem, naming the attribute, for what cannot be held exactly."""
    try:
        if set(map(type, item)) - {str}:
            raise InvalidItem("an attribute's name is not text", hint="use str names")
        if not set(map(type, item.values())) <= _PLAIN:
            item = {name: _exact(name, value) for name, value in item.items()}
        return _encode(item)
    except UnicodeEncodeError:
        name = next(name for name, value in item.items() if not _is_text(name) or not _is_text(value))
        raise InvalidItem(f"attribute {name!a}: half a surrogate pair is not text", hint="repair the text first") from None


def decode_item(data: bytes) -> Item:
    """The item of these bytes."""
    item: Item = _decode(data)
    return {name: _restored(value) for name, value in item.items()} if b'"$' in data else item


def _is_text(value: Any) -> bool:
    try:
        _encode(value)
    except UnicodeEncodeError:
        return False
    return True


def add_exactly(name: str, old: Any, amount: Any) -> int | Decimal:
    """The sum of two numbers, without rounding. Raises InvalidItem if one is none."""
    for value in (old, amount):
        if type(value) not in (int, Decimal, float):
            raise _refused(name, "is not a number, so nothing can be added", "set it instead")
    return _SUM.add(_as_decimal(old), _as_decimal(amount))


def same_value(stored: Any, given: Any) -> bool:
    """Whether a value read back equals one given, as it would be read back. Raises InvalidItem for what cannot be held."""
    given = decode_item(encode_item({"expected": given}))["expected"]
    return bool(stored == given) and (type(stored) is bool) is (type(given) is bool)


def _as_decimal(value: int | Decimal | float) -> Decimal:
    return Decimal(repr(value)) if type(value) is float else Decimal(value)


def _exact(name: str, value: Any, depth: int = DEPTH) -> Any:
    """The value as JSON can hold it, exactly."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -_LARGEST < value < _LARGEST else _exact_decimal(name, Decimal(value))
    if kind is float and 1e-100 < abs(value) < 1e15:
        return int(value) if value.is_integer() else value
    if kind is Decimal or kind is float:
        return _exact_decimal(name, _as_decimal(value))
    if not depth:
        raise _refused(name, f"is nested more than {DEPTH} deep", "flatten it, or keep it as text")
    if kind is list or kind is tuple:
        return [_exact(name, element, depth - 1) for element in value]
    if kind is dict:
        return _exact_dict(name, value, depth - 1)
    if kind in (bytes, bytearray, memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    if kind is set or kind is frozenset:
        return {"$set": [_exact(name, element) for element in _sorted_set(name, value)]}
    if kind is datetime:
        return _instant(f"attribute {name}", value)
    if kind is date:
        return value
    raise _refused(name, f"is a {kind.__name__}", "use str, int, Decimal, float, bool, bytes, date, datetime, list, dict or set")


def _sorted_set(name: str, value: Set[Any]) -> list[Any]:
    kinds = {_SET_KINDS.get(type(element)) for element in value}
    if len(kinds) != 1 or None in kinds:
        raise _refused(name, "is a set that is empty or mixed", "a set holds text, numbers or bytes, all of one kind")
    return sorted(value)


def _exact_decimal(name: str, value: Decimal) -> int | Decimal:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise _refused(name, f"is {value}", "numbers in an item are finite; leave the attribute out")
    if not value:
        return 0
    significant = len("".join(map(str, digits)).rstrip("0"))
    if significant > DIGITS or not -130 <= value.adjusted() <= 125:
        raise _refused(name, f"does not fit in {DIGITS} digits and 1E-130 to 1E+125", "round it yourself, or keep it as text")
    whole = exponent + len(digits) - significant >= 0
    if whole:
        return int(value) if value.adjusted() < DIGITS else value.normalize(_SUM)
    return value


def _instant(what: str, value: datetime) -> str:
    """The one text of an instant."""
    if value.utcoffset() is None:
        raise InvalidItem(f"{what} is a datetime without a time zone", hint="give it one: datetime(..., tzinfo=UTC)")
    try:
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError:
        raise InvalidItem(f"{what} is outside the years 1 to 9999 in UTC", hint="leave it out") from None


def _exact_dict(name: str, value: dict[Any, Any], depth: int) -> dict[str, Any]:
    if not all(type(key) is str for key in value):
        raise _refused(name, "has a dict whose keys are not text", "use str keys")
    made = {key: _exact(f"{name}.{key}", element, depth) for key, element in value.items()}
    return {"$dict": made} if len(made) == 1 and next(iter(made)).startswith("$") else made


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(element) for element in value]
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key == "$bytes":
                return base64.b64decode(inner, validate=True)
            if key == "$set":
                return {_restored(element) for element in inner}
            if key == "$dict":
                value = inner
        return {key: _restored(element) for key, element in value.items()}
    return value


def _refused(name: str, what: str, hint: str) -> InvalidItem:
    # Says what kind of value it was, never the value: it may be a person's.
    return InvalidItem(f"attribute {name} {what}", hint=hint)


def encode_key(values: Sequence[Any]) -> bytes:
    """Bytes that sort as the values do, part by part; a prefix of the values gives a prefix of the bytes.

    Raises InvalidItem for a part that is not str, int, Decimal, date, datetime or bytes.
    """
    return b"".join(map(_key_part, values))


def read_key(contract: Contract, texts: Sequence[str], how: str) -> tuple[Any, ...]:
    """A key from what somebody typed: numbers as numbers, the rest as text. Raises UsageError, with `how` to give one."""
    if len(texts) != len(contract.key):
        told = f"{contract.name}: its key is {', '.join(contract.key)}, and {len(texts)} value(s) are given"
        raise UsageError(told, hint=how)
    read: list[Any] = []
    for name, text in zip(contract.key, texts, strict=True):
        kind = contract.column(name).kind
        try:
            read.append(int(text) if kind == "int" else Decimal(text) if kind == "decimal" else text)
        except (ValueError, InvalidOperation):
            raise UsageError(f"{contract.name}: {name} is a number", hint=how) from None
    return tuple(read)


def _key_part(value: Any) -> bytes:
    if type(value) is str:
        try:
            # 0x00 ends a part, so a NUL inside becomes 00 FF, which sorts right.
            return b"\x02" + value.encode().replace(b"\x00", b"\x00\xff") + b"\x00"
        except UnicodeEncodeError:
            raise InvalidItem("a key has half a surrogate pair in its text", hint="repair the text first") from None
    if type(value) is int or type(value) is Decimal:
        return b"\x01" + _number_key(value)
    if isinstance(value, bytes):
        return b"\x03" + value.replace(b"\x00", b"\x00\xff") + b"\x00"
    if isinstance(value, datetime):
        return _key_part(_instant("a key", value))
    if isinstance(value, date):
        return _key_part(value.isoformat())
    raise InvalidItem(
        f"a key is a {type(value).__name__}", hint="keys are str, int, Decimal, date, datetime or bytes; never NULL or float"
    )


def _number_key(value: int | Decimal) -> bytes:
    """Sign, exponent and digits of a number, so that equal numbers have equal bytes and order is kept."""
    _, digits, exponent = Decimal(_exact_decimal("of the key", Decimal(value))).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return b"\x80"
    magnitude = (len(text) + int(exponent) + 0x4000).to_bytes(2, "big") + text.rstrip("0").encode()
    if value > 0:
        return b"\x81" + magnitude + b"\x00"
    return b"\x7f" + bytes(255 - byte for byte in magnitude) + b"\xff"
