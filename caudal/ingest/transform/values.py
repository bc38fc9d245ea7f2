"""One value against its column: the slow and exact path, which says why a value does not fit."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

from caudal.contract import Column, Contract
from caudal.errors import CaudalError
from caudal.records import Item

Warn = Callable[[str], None]
"""Called with the name of what is lossy but allowed, such as `timestamp_truncated`."""

_WIDE = Context(prec=400, Emax=9999, Emin=-9999)

FIRST_TIME = -62_135_596_800 * 10**6
"""The year 1 in microseconds since 1970: earlier times have no ISO 8601 text."""
LAST_TIME = 253_402_300_800 * 10**6 - 1
"""The end of the year 9999."""

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?)?\Z", re.ASCII
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


class Misfit(CaudalError):
    """A value that its column cannot hold. Carries no value: it may be a person's."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Already(Misfit):
    """A record that was rejected before it came into the stream, with its bytes in base64."""

    def __init__(self, reason: str, detail: str, raw: str) -> None:
        super().__init__(reason, detail)
        try:
            self.raw = base64.b64decode(raw)
        except ValueError:
            self.raw = raw.encode("utf-8", "replace")


class NoNumber(NamedTuple):
    """What stands where JSON has a number, and is none: refused only in a column, for what is no column is not looked at."""

    reason: str
    detail: str


class JsonText(str):
    """A list or an object as the JSON text in which it came."""


def exact_row(contract: Contract, item: Mapping[str, Any], warn: Warn) -> Item:
    """The item's values for the contract's columns, each of the column's own Python type. Raises Misfit."""
    for name in contract.key:
        if item.get(name) is None:
            raise Misfit("null_key", f"{name} is part of the key and has no value")
    try:
        return {column.name: exact_value(column, item.get(column.name), warn) for column in contract.columns}
    except RecursionError:
        raise Misfit("invalid_json", "nested too deeply") from None


def exact_value(column: Column, value: Any, warn: Warn) -> Any:
    """The value as the column's own Python type, unchanged in meaning. Raises Misfit."""
    if value is None:
        if not column.nullable:
            raise Misfit("missing_required", f"{column.name} has no value")
        return None
    if isinstance(value, NoNumber):
        raise Misfit(value.reason, f"{column.name}: {value.detail}")
    made = _READERS[column.kind](column, value, warn)
    if column.values and made not in column.values:
        raise Misfit("not_in_enumeration", f"{column.name} is none of {'|'.join(column.values)}")
    return made


def _wrong(column: Column, value: Any) -> Misfit:
    return Misfit("wrong_type", f"{column.name} is {_called(value)}, not {column.sql}")


def _called(value: Any) -> str:
    return {bool: "a boolean", int: "a number", Decimal: "a number", float: "a number", str: "text", list: "a list",
            dict: "an object", bytes: "bytes"}.get(type(value), type(value).__name__)


def _string(column: Column, value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(column, value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Misfit("invalid_unicode", f"{column.name} has half a surrogate pair") from None
    return value


def _decimal_of(column: Column, value: Any) -> Decimal:
    if isinstance(value, bool):
        raise _wrong(column, value)
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, str):
        try:
            return number_of(value)
        except ValueError:
            raise Misfit("number_format", f"{column.name} is not a number") from None
    raise _wrong(column, value)


def number_of(text: str) -> Decimal:
    """The number of a text of digits, as JSON and SQL write them. Raises ValueError."""
    try:
        if _NUMBER.match(text):
            return Decimal(text)
    except InvalidOperation:
        pass
    raise ValueError("not a number")


def significant_digits(number: Decimal) -> int:
    """How many digits a finite number has, without zeros at either end."""
    return len("".join(map(str, number.as_tuple().digits)).strip("0"))


def _int(column: Column, value: Any, _: Any) -> int:
    if isinstance(value, str):
        raise _wrong(column, value)
    number = _decimal_of(column, value)
    if not number.is_finite() or number != number.to_integral_value():
        raise Misfit("not_an_integer", f"{column.name} has a fraction, and the column is whole numbers")
    if not -(2**63) <= number < 2**63:
        raise Misfit("integer_overflow", f"{column.name} does not fit in 64 bits")
    return int(number)


def _decimal(column: Column, value: Any, _: Any) -> Decimal:
    number = _decimal_of(column, value)
    if not number.is_finite():
        raise Misfit("number_format", f"{column.name} is not a finite number")
    if not number:
        return Decimal(0).scaleb(-column.scale)
    digits = significant_digits(number)
    if digits > 38:
        raise Misfit("number_precision", f"{column.name} has more than 38 digits")
    if number.adjusted() >= column.precision - column.scale:
        raise Misfit("decimal_overflow", f"{column.name} does not fit in {column.sql}")
    if digits - 1 - number.adjusted() > column.scale:
        raise Misfit("decimal_scale", f"{column.name} has more than {column.scale} decimals")
    return number.quantize(Decimal(1).scaleb(-column.scale), context=_WIDE)


def _float(column: Column, value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _wrong(column, value)
    try:
        made = float(value)
    except (OverflowError, ValueError):  # a whole number of 400 digits; a signalling NaN
        raise Misfit("float_overflow", f"{column.name} does not fit in a double") from None
    if made in (float("inf"), float("-inf")) and not isinstance(value, float):
        raise Misfit("float_overflow", f"{column.name} does not fit in a double")
    return made


def _bool(column: Column, value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(column, value)
    return value


def _date(column: Column, value: Any, _: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d\Z", value, re.ASCII):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise Misfit("date_format", f"{column.name} is not a date like 2026-01-31")


def _timestamp(column: Column, value: Any, warn: Warn) -> datetime:
    if isinstance(value, datetime):
        try:
            return value.replace(tzinfo=UTC) if value.utcoffset() is None else value.astimezone(UTC)
        except OverflowError:
            raise Misfit("timestamp_format", f"{column.name} is outside the years 1 to 9999 in UTC") from None
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        raise Misfit("timestamp_format", f"{column.name} is not a time like 2026-01-31T12:00:00Z")
    year, month, day, hour, minute, second, fraction, zone = match.groups("0")
    if len(fraction) > 6 and fraction[6:].strip("0"):
        warn("timestamp_truncated")
    try:
        made = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second),
                        int(fraction[:6].ljust(6, "0")), UTC)
        return made - _offset(zone)
    except (ValueError, OverflowError):
        raise Misfit("timestamp_format", f"{column.name} is not a time that exists") from None


def _offset(zone: str) -> timedelta:
    if zone in ("0", "Z"):
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    if digits[:2] > "23" or digits[2:] > "59":
        raise ValueError("no such time zone")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -offset if zone[0] == "-" else offset


def _bytes(column: Column, value: Any, _: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict) and list(value) == ["$bytes"]:
        value = value["$bytes"]
    if not isinstance(value, str):
        raise _wrong(column, value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Misfit("base64_format", f"{column.name} is not base64") from None


def _json(column: Column, value: Any, _: Any) -> str:
    if isinstance(value, JsonText):
        return str(value)
    if not isinstance(value, list | dict):
        raise _wrong(column, value)
    try:
        text = json_text(value)
        text.encode()
    except UnicodeEncodeError:
        raise Misfit("invalid_unicode", f"{column.name} has half a surrogate pair") from None
    except (TypeError, ValueError):
        raise Misfit("wrong_type", f"{column.name} holds something that JSON cannot") from None
    return text


def json_text(value: Any) -> str:
    """Nested values as JSON text: compact, keys as they came, numbers exact. Raises TypeError or ValueError."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k), ensure_ascii=False)}:{json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("JSON has no NaN")
        return str(value)
    if isinstance(value, bytes):
        return json_text({"$bytes": base64.b64encode(value).decode()})
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


_READERS: dict[str, Callable[[Column, Any, Warn], Any]] = {
    "string": _string, "int": _int, "decimal": _decimal, "float": _float, "bool": _bool, "date": _date,
    "timestamp": _timestamp, "bytes": _bytes, "json": _json,
}
