"""Why a query failed, in Athena's words: `COLUMN_NOT_FOUND: line 1:8: …`."""

import re
from typing import Any

from caudal.errors import CaudalError, QueryError, Unavailable
from caudal.gateway.faults import AwsError

SYSTEM, USER = 1, 2
"""Whose fault it is."""

_NAMED = re.compile(r"([A-Z][A-Z0-9_]{4,}): (.*)", re.DOTALL)
_FORMS: tuple[tuple[str, str, str], ...] = (
    (r"no table (\S+?)(?: for column .*)?", "TABLE_NOT_FOUND", "Table '{0}' does not exist"),
    (r"column (\S+) is not in .*", "COLUMN_NOT_FOUND",
     "Column '{0}' cannot be resolved or requester is not authorized to access requested resources"),
    (r"column (\S+) is in .*", "AMBIGUOUS_NAME", "Column '{0}' is ambiguous"),
    (r"no database (\S+)", "SCHEMA_NOT_FOUND", "Schema '{0}' does not exist"),
    (r"function (\S+) does not exist, or may not run", "FUNCTION_NOT_FOUND", "Function '{0}' not registered"),
)
"""What the engine says, and Athena's name and words for it."""
_TYPES = {"HIVE_BAD_DATA": 1001, "HIVE_CURSOR_ERROR": 1001, "EXCEEDED_TIME_LIMIT": 206, "EXCEEDED_MEMORY_LIMIT": 0}
"""Number of an error in Athena's catalogue; of any other fault of the user's it is 1000."""


def told(error: QueryError) -> str:
    """What Athena would say."""
    where = f"line {error.line}:{error.column}: " if error.line else ""
    hint = f" ({error.hint})" if error.hint else ""
    text = str(error)
    if named := _NAMED.fullmatch(text):
        return f"{named[1]}: {where}{named[2]}{hint}"
    for form, name, words in _FORMS:
        if found := re.fullmatch(form, text):
            return f"{name}: {where}{words.format(*found.groups())}{hint}"
    return f"SYNTAX_ERROR: {where}{text}{hint}"


def failure(error: Exception) -> dict[str, Any]:
    """The members of AthenaError; what nobody foresaw says nothing, for its text may hold a person's data."""
    if isinstance(error, QueryError):
        message = told(error)
        kind = _TYPES.get(message.partition(":")[0], 1000)
        return _error(USER, kind, kind in (0, 206), message)
    if isinstance(error, AwsError):
        return _error(USER, 1000, False, str(error))
    if isinstance(error, CaudalError):
        hint = f" ({error.hint})" if error.hint else ""
        return _error(SYSTEM, 200, isinstance(error, Unavailable), f"GENERIC_INTERNAL_ERROR: {error}{hint}")
    return _error(SYSTEM, 100, False, "INTERNAL_ERROR: a fault of caudal: see its log")


def _error(category: int, kind: int, retry: bool, message: str) -> dict[str, Any]:
    return {"ErrorCategory": category, "ErrorType": kind, "Retryable": retry, "ErrorMessage": message}
