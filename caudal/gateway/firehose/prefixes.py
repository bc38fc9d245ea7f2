"""Prefixes of object names: `sales/!{timestamp:yyyy/MM/dd}/!{partitionKeyFromQuery:country}/`."""

import re
import secrets
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from caudal.gateway.faults import AwsError

_EXPRESSION = re.compile(r"!\{([A-Za-z]+):([^}]*)\}")
_LETTERS = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*")
_DATE = "yyyy/MM/dd/HH/"
KEYS = ("partitionKeyFromQuery", "partitionKeyFromLambda")
_RANDOM = string.ascii_letters + string.digits


def check_prefix(prefix: str, error: bool, dynamic: bool) -> None:
    """Raises AwsError for an expression that cannot be here."""
    for namespace, text in _EXPRESSION.findall(prefix):
        if namespace in KEYS and not error and dynamic:
            continue
        if namespace == "timestamp":
            format_time(text, datetime.now(UTC))
        elif not (namespace == "firehose" and (text == "random-string" or (error and text == "error-output-type"))):
            raise AwsError("InvalidArgumentException", f"the expression !{{{namespace}:{text}}} cannot be in this prefix")
    rest = _EXPRESSION.sub("", prefix)
    if "!{" in rest:
        raise AwsError("InvalidArgumentException", "a prefix has !{ without an expression of the form !{namespace:value}")


def keys_in(prefix: str) -> set[tuple[str, str]]:
    """Partition keys that a prefix names: where from, and name."""
    return {(namespace, name) for namespace, name in _EXPRESSION.findall(prefix) if namespace in KEYS}


def zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises AwsError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise AwsError("InvalidArgumentException", f"CustomTimeZone {name} is no time zone") from None


def folder(prefix: str, at: datetime, keys: Mapping[str, str], error: str = "") -> str:
    """The prefix of an object, with its expressions replaced; the hour is appended where it names no timestamp.

    `at` is when the oldest record of the object arrived, in the delivery stream's time zone.
    """
    named = False

    def replaced(found: re.Match[str]) -> str:
        nonlocal named
        namespace, text = found[1], found[2]
        if namespace == "timestamp":
            named = True
            return format_time(text, at)
        if namespace in KEYS:
            return keys[text]
        if text == "error-output-type":
            return error
        return "".join(secrets.choice(_RANDOM) for _ in range(11))

    made = _EXPRESSION.sub(replaced, prefix)
    if error and "error-output-type" not in prefix:
        made += f"{error}/"
    return made if named or (_EXPRESSION.search(prefix) and not error) else made + format_time(_DATE, at)


def format_time(pattern: str, at: datetime) -> str:
    """A time by a pattern of Java's DateTimeFormatter. Raises AwsError for a letter that is not served."""

    def replaced(found: re.Match[str]) -> str:
        text = found[0]
        if text.startswith("'"):
            return text[1:-1].replace("''", "'") or "'"
        return _field(text[0], len(text), at)

    return _LETTERS.sub(replaced, pattern)


def _field(letter: str, width: int, at: datetime) -> str:
    if letter in "yu":
        return f"{at.year % 100:02}" if width == 2 else f"{at.year:0{width}}"
    if letter in "ML" and width > 2:
        return at.strftime("%b" if width == 3 else "%B")
    if letter == "E":
        return at.strftime("%A" if width == 4 else "%a")
    if letter == "a":
        return at.strftime("%p")
    if letter == "S":
        return f"{at.microsecond:06}000"[:width]
    numbers = {"M": at.month, "L": at.month, "d": at.day, "H": at.hour, "h": (at.hour - 1) % 12 + 1, "k": (at.hour - 1) % 24 + 1,
               "K": at.hour % 12, "m": at.minute, "s": at.second, "D": at.timetuple().tm_yday}
    if letter not in numbers:
        raise AwsError("InvalidArgumentException", f"the letter {letter} in !{{timestamp:…}} is not served")
    return f"{numbers[letter]:0{width}}"
