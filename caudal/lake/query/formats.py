"""Patterns of Java in the words of C: format() and the Joda patterns of format_datetime and parse_datetime."""

import re
from typing import Any

from sqlglot import exp

from caudal.errors import QueryError
from caudal.lake.query.duck import cast

_JODA = {
    "yyyy": "%Y", "YYYY": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d",
    "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "SSS": "%g",
    "EEEE": "%A", "EEE": "%a", "E": "%a", "a": "%p", "xxxx": "%G", "ww": "%V", "e": "%u", "DDD": "%j", "Z": "%z",
}
_TOKEN = re.compile(r"'(?:[^']|'')*'|([a-zA-Z])\1*|.", re.DOTALL)
_SPEC = re.compile(r"%[-#+ 0,(]*\d*(?:\.\d+)?([a-zA-Z%])")


def joda(pattern: Any) -> str:
    """The strftime pattern of a Joda pattern, which has to be a literal."""
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        raise QueryError("the pattern of a time is not a text", hint="write it as '…'")
    parts = []
    for match in _TOKEN.finditer(pattern.name):
        text = match.group()
        if text.startswith("'") and len(text) > 1:
            parts.append(text[1:-1].replace("''", "'").replace("%", "%%") or "'")
        elif match.group(1) is None:
            parts.append(text.replace("%", "%%"))
        elif text in _JODA:
            parts.append(_JODA[text])
        else:
            raise QueryError(f"pattern {text} of a time is not known", hint="use date_format(time, '%Y-%m-%d')")
    return "".join(parts)


def printf_arguments(pattern: Any, arguments: list[Any]) -> list[Any]:
    """Arguments of format() as the types that their places ask for."""
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        return arguments
    kinds = [match.group(1) for match in _SPEC.finditer(pattern.name) if match.group(1) not in "%n"]
    if len(kinds) > len(arguments):
        raise QueryError("format(...) has fewer values than places", hint="give a value for each %")
    return [_as(kind, argument) for kind, argument in zip(kinds, arguments, strict=False)]


def _as(kind: str, argument: Any) -> Any:
    if kind in "dxXo":
        return cast(argument, "BIGINT")
    if kind in "feEgG":
        return cast(argument, "DOUBLE")
    if kind in "sSb":
        return cast(argument, "VARCHAR")
    raise QueryError(f"format(...): %{kind} is not known", hint="use %d, %f, %e, %s or %x")
