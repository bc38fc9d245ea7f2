"""One value against its column: the slow and exact path, which says why a value does not fit."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from caudal.contract import Column
from caudal.errors import CaudalError

_WIDE = Context(prec=400, Emax=9999, Emin=-9999)

FIRST_TIME = -62_135_596_800 * 10**6
"""The year 1 in microseconds since 1970: earlier times have no ISO 8601 text."""
LAST_TIME = 253_402_300_800 * 10**6 - 1
"""The end of the year 9999."""

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?)?\Z", re.ASCII
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?\Z", re.ASCII)


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
        except binascii.Error:
            self.raw = raw.encode()


def exact_value(column: Column, value: Any, warn: Callable[[str], None]) -> Any:
    """The value as the column's own Python type, unchanged in meaning.

    Raises Misfit. Calls `warn` with a name for what is lossy but allowed (`timestamp_truncated`).
    """
    if value is None:
        if not column.nullable:
            raise Misfit("missing_required", f"{column.name} has no value")
        return None
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
    if isinstance(value, str) and _NUMBER.match(value):
        return Decimal(value)
    raise Misfit("number_format", f"{column.name} is not a number") if isinstance(value, str) else _wrong(column, value)


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
    if number and len(str(int("".join(map(str, number.as_tuple().digits)))).rstrip("0")) > 38:
        raise Misfit("number_precision", f"{column.name} has more than 38 digits")
    if number.adjusted() >= column.precision - column.scale and number:
        raise Misfit("decimal_overflow", f"{column.name} does not fit in {column.sql}")
    scaled = number.scaleb(column.scale, _WIDE)
    if scaled != scaled.to_integral_value():
        raise Misfit("decimal_scale", f"{column.name} has more than {column.scale} decimals")
    return number.quantize(Decimal(1).scaleb(-column.scale), context=_WIDE)


def _float(column: Column, value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _wrong(column, value)
    made = float(value)
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


def _timestamp(column: Column, value: Any, warn: Callable[[str], None]) -> datetime:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.utcoffset() is None else value.astimezone(UTC)
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
    if not isinstance(value, list | dict):
        raise _wrong(column, value)
    return json_text(value)


def json_text(value: Any) -> str:
    """Nested values as JSON text: compact, keys as they came, numbers exact."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k), ensure_ascii=False)}:{json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return json_text({"$bytes": base64.b64encode(value).decode()})
    return json.dumps(value, ensure_ascii=False)


_READERS: dict[str, Callable[[Column, Any, Callable[[str], None]], Any]] = {
    "string": _string, "int": _int, "decimal": _decimal, "float": _float, "bool": _bool, "date": _date,
    "timestamp": _timestamp, "bytes": _bytes, "json": _json,
}
