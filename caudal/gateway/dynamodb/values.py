"""DynamoDB's values: between the wire (`{"N": "5"}`) and Python, their types, equality and sizes.

S is str, N int or Decimal, B bytes, BOOL bool, NULL None, L list, M dict, and SS, NS and BS a set. Names in an item are
sorted, so that items that are equal are so byte by byte.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any

from caudal.gateway.faults import AwsError, Invalid
from caudal.records import Item

DIGITS, DEPTH = 38, 32
ITEM_BYTES = 400 * 1024

NESTED = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
EMPTY_KEY = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty"

_EXACT = Context(prec=400)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_WHOLE = re.compile(r"-?[1-9]\d{0,14}|0", re.ASCII)


def invalid(message: str) -> AwsError:
    """A ValidationException."""
    return AwsError("ValidationException", message)


def invalid_values(message: str) -> AwsError:
    """A ValidationException about what the values of parameters are."""
    return invalid(f"One or more parameter values were invalid: {message}")


def read_number(text: Any) -> int | Decimal:
    """The number that a text is: an int if it is whole and has up to 38 digits. Raises AwsError."""
    if not isinstance(text, str):
        raise AwsError("SerializationException", "a number is sent as text")
    if _WHOLE.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        raise invalid(f"The parameter cannot be converted to a numeric value: {text[:50]}")
    return as_number(Decimal(text))


def as_number(value: Decimal) -> int | Decimal:
    """A number as DynamoDB keeps it. Raises AwsError for one that it cannot."""
    if not value:
        return 0
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if len("".join(map(str, digits)).strip("0")) > DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    if value.adjusted() > 125:
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if value.adjusted() < -130:
        raise invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    value = value.normalize(_EXACT)
    return int(value) if value == value.to_integral_value() and value.adjusted() < DIGITS else value


def write_number(value: int | Decimal) -> str:
    """A number's text: plain digits, however large or small."""
    return str(value) if isinstance(value, int) else format(value.normalize(_EXACT), "f")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise AwsError("SerializationException", "text is sent as text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise AwsError("SerializationException", "half a surrogate pair is not text") from None
    return value


def _binary(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise AwsError("SerializationException", "a binary value is sent as base64") from None


def _set(read: Callable[[Any], Any], kind: str) -> Callable[[Any, int], Any]:
    def reader(value: Any, depth: int) -> Any:
        given = [read(element) for element in _list(value)]
        if not given:
            raise invalid_values(f"An {kind} set  may not be empty" if kind != "binary" else "Binary sets should not be empty")
        if len(set(given)) != len(given):
            shown = ", ".join(map(str, value)) if len(given) < 20 else "…"
            raise invalid_values(f"Input collection [{shown}] contains duplicates.")
        return set(given)

    return reader


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise AwsError("SerializationException", "a list or set is sent as a list")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise AwsError("SerializationException", "a boolean is sent as true or false")
    return value


def _null(value: Any) -> None:
    if not _bool(value):
        raise invalid_values("Null attribute value types must have the value of true")


_READ: Mapping[str, Callable[[Any, int], Any]] = {
    "S": lambda value, depth: _text(value), "N": lambda value, depth: read_number(value),
    "B": lambda value, depth: _binary(value),
    "BOOL": lambda value, depth: _bool(value), "NULL": lambda value, depth: _null(value),
    "M": lambda value, depth: _read_map(value, depth - 1),
    "L": lambda value, depth: [_read(element, depth - 1) for element in _list(value)],
    "SS": _set(_text, "string"), "NS": _set(read_number, "number"), "BS": _set(_binary, "binary"),
}


def _read(value: Any, depth: int) -> Any:
    if not isinstance(value, dict):
        raise AwsError("SerializationException", "an attribute's value is an object")
    if not depth:
        raise invalid(NESTED)
    given = {kind: inner for kind, inner in value.items() if inner is not None} if len(value) > 1 else value
    if len(given) != 1:
        few = "is empty" if not given else "has more than one datatypes set"
        raise invalid(f"Supplied AttributeValue {few}, must contain exactly one of the supported datatypes")
    ((kind, inner),) = given.items()
    reader = _READ.get(kind)
    if reader is None:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    return reader(inner, depth)


def _read_map(value: Any, depth: int) -> Item:
    if not isinstance(value, dict):
        raise AwsError("SerializationException", "a map is sent as an object")
    return {_text(name): _read(value[name], depth) for name in sorted(value)}


def read_value(value: Any, path: str = "", broken: Invalid | None = None) -> Any:
    """A value from the wire. Raises AwsError."""
    return _read(value, DEPTH + 1)


def read_item(value: Any, path: str = "", broken: Invalid | None = None) -> Item:
    """An item, or a key, from the wire. Raises AwsError."""
    return _read_map(value, DEPTH + 1)


_KINDS: Mapping[type, str] = {
    str: "S", int: "N", Decimal: "N", bool: "BOOL", bytes: "B", type(None): "NULL", list: "L", dict: "M", float: "N"}
_SET_KINDS: Mapping[type, str] = {str: "SS", bytes: "BS", int: "NS", Decimal: "NS"}


def kind_of(value: Any) -> str:
    """DynamoDB's type of a value: `S`, `NS`…"""
    return _KINDS.get(type(value)) or _SET_KINDS[type(next(iter(value)))]


def write_value(value: Any) -> dict[str, Any]:
    """A value as the wire has it."""
    kind = kind_of(value)
    if kind in ("S", "BOOL"):
        return {kind: value}
    if kind == "N":
        return {"N": write_number(value)}
    if kind == "B":
        return {"B": base64.b64encode(value).decode()}
    if kind == "NULL":
        return {"NULL": True}
    if kind == "M":
        return {"M": write_item(value)}
    if kind == "L":
        return {"L": [write_value(element) for element in value]}
    writers: dict[str, Callable[[Any], Any]] = {
        "SS": str, "NS": write_number, "BS": lambda data: base64.b64encode(data).decode()}
    return {kind: [writers[kind](element) for element in sorted(value)]}


def write_item(item: Item) -> dict[str, Any]:
    """An item as the wire has it."""
    return {name: write_value(value) for name, value in item.items()}


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, and of one type throughout: 1 is not true."""
    if a != b or kind_of(a) != kind_of(b):
        return False
    if type(a) is list:
        return all(map(same, a, b))
    return type(a) is not dict or all(same(value, b[name]) for name, value in a.items())


def in_order(value: Any) -> Any:
    """The value with the names of all maps sorted, and nothing shared with it that can change."""
    if type(value) is dict:
        return {name: in_order(value[name]) for name in sorted(value)}
    return [in_order(element) for element in value] if type(value) is list else value


def size_of(value: Any) -> int:
    """Bytes that a value counts, as DynamoDB counts them: of text its UTF-8, of a number about half its digits."""
    kind = type(value)
    if kind is str:
        return len(value.encode())
    if kind is bytes:
        return len(value)
    if kind is bool or value is None:
        return 1
    if kind is int or kind is Decimal:
        digits = len(str(abs(value)).rstrip("0")) or 1 if kind is int else len(value.normalize(_EXACT).as_tuple().digits)
        return (digits + 1) // 2 + 1 + int(value < 0)
    if kind is set:
        return sum(map(size_of, value))
    if kind is list:
        return 3 + sum(1 + size_of(element) for element in value)
    return 3 + size_of_item(value) + len(value)


def size_of_item(item: Item) -> int:
    """Bytes that an item counts: its names and values."""
    return sum(len(name.encode()) + size_of(value) for name, value in item.items())


def check_item_size(item: Item, what: str = "Item size has") -> None:
    """Raises AwsError for an item of more than 400 KB."""
    if size_of_item(item) > ITEM_BYTES:
        raise invalid(f"{what} exceeded the maximum allowed size")


def depth_of(value: Any) -> int:
    """How deep lists and maps lie in each other."""
    inner: Sequence[Any] = list(value.values()) if type(value) is dict else value if type(value) is list else ()
    return 1 + max(map(depth_of, inner), default=0) if type(value) in (dict, list) else 0
