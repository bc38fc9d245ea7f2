"""What DuckDB's errors mean, in Athena's words: never a value, for that may be personal, and never an internal name."""

import re

from caudal.errors import BackendError, CaudalError, QueryError, Unavailable
from caudal.lake.query.check import Statement

_FUNCTION = re.compile(r"(?:argument types|function call) ['\"]?(\w+|[^\w\s'\"]+)\((.*?)\)['\"]?[.\s]", re.DOTALL)


def explained(statement: Statement, error: Exception) -> CaudalError:
    """The error to raise for what DuckDB raised."""
    kind, text = type(error).__name__, str(error).split(": ", 1)[-1]
    if "Division by zero" in text:
        return QueryError("DIVISION_BY_ZERO: a divisor is zero", hint="write try(a / b) for NULL, or a / nullif(b, 0)")
    if "caudal: too long" in text:
        return QueryError("INVALID_FUNCTION_ARGUMENT: an array would have more than 10000 entries",
                          hint="join with a table instead")
    if "caudal: no such subscript" in text:
        return QueryError("INVALID_FUNCTION_ARGUMENT: an array has no such subscript", hint="element_at(a, i) gives NULL there")
    if "caudal: no such key" in text:
        return QueryError("INVALID_FUNCTION_ARGUMENT: a map has no such key", hint="element_at(m, k) gives NULL there")
    if re.search(r"CSV (Error|Parser|Reader|File)", text):
        return QueryError("a CSV file of the lake is not as caudal writes it", hint="run `caudal verify`")
    if kind == "ConversionException":
        return _conversion(text)
    if kind == "OutOfRangeException":
        return QueryError("NUMERIC_VALUE_OUT_OF_RANGE: a result does not fit its type",
                          hint="cast to double or decimal(38, s) first")
    if kind == "OutOfMemoryException":
        return QueryError("EXCEEDED_MEMORY_LIMIT: the query needs more memory than it may use",
                          hint="select fewer columns or rows, or raise memory_mb in [query] of caudal.toml")
    if kind == "BinderException":
        return _binding(statement, text)
    if kind in ("InvalidInputException", "ParserException", "CatalogException", "NotImplementedException"):
        return _input(statement, kind, text)
    if kind in ("IOException", "HTTPException"):
        return Unavailable("a file of the lake could not be read", hint="try again; `caudal verify` says what is missing")
    if kind == "InterruptException":
        return QueryError("EXCEEDED_TIME_LIMIT: the query was stopped", hint="read less, or raise query.seconds")
    return BackendError(f"DuckDB failed ({kind})", hint="simplify the query, and report this one")


def _conversion(text: str) -> QueryError:
    match = re.search(r"(?:to|into) (?:type |')?([A-Z][A-Z0-9_]*(?: WITH TIME ZONE)?(?:\(\d+, ?\d+\))?)", text)
    if "extract specifier" in text or "date part" in text:
        return QueryError("INVALID_FUNCTION_ARGUMENT: not a unit of time",
                          hint="use second, minute, hour, day, week, month, quarter or year")
    if "timestamp" in text and match is None:
        return QueryError("INVALID_CAST_ARGUMENT: a value is not a timestamp",
                          hint="write it as 2026-01-31 12:00:00, or use try_cast")
    if "date field" in text:
        return QueryError("INVALID_CAST_ARGUMENT: a value is not a date", hint="write it as 2026-01-31, or use try_cast")
    target = {"INT32": "integer", "INT64": "bigint"}.get(match.group(1), match.group(1).lower()) if match else "that type"
    return QueryError(f"INVALID_CAST_ARGUMENT: a value cannot be cast to {target}", hint="use try_cast for NULL instead")


def _binding(statement: Statement, text: str) -> QueryError:
    match = _FUNCTION.search(text)
    if match:
        name, types = match.group(1).lower(), match.group(2)
        types = re.sub(r"(\w+)_LITERAL", r"\1", types).replace("STRING", "VARCHAR").lower()
        return QueryError(f"TYPE_MISMATCH: {name}({types}) does not exist", hint="cast the arguments", **statement.find(name))
    if "GROUP BY" in text:
        match = re.search(r'column "?([^"]+?)"? must appear', text)
        name = match.group(1).split(".")[-1] if match else ""
        return QueryError(f"EXPRESSION_NOT_AGGREGATE: {name or 'a column'} is neither grouped nor aggregated",
                          hint="add it to GROUP BY, or use arbitrary(…)", **(statement.find(name) if name else {}))
    return QueryError(f"TYPE_MISMATCH: {_short(text)}", hint="check the types in the query")


def _input(statement: Statement, kind: str, text: str) -> QueryError:
    if "regex" in text.lower() or "invalid perl operator" in text.lower():
        return QueryError("INVALID_FUNCTION_ARGUMENT: not a regular expression, or one with lookaround", hint="use RE2's syntax")
    if "more than one row" in text.lower():
        return QueryError("SUBQUERY_MULTIPLE_ROWS: a subquery gave more than one row", hint="add LIMIT 1, or use IN (…)")
    if kind == "InvalidInputException":
        return QueryError("INVALID_FUNCTION_ARGUMENT: a value is out of a function's domain", hint="use try(…) for NULL")
    return QueryError(f"NOT_SUPPORTED: {_short(text)}", hint="write it another way")


def _short(text: str) -> str:
    """The first line, without internal names or quoted values."""
    line = text.split("\n", 1)[0]
    return re.sub(r"'[^']*'", "…", line.replace("lake:", ""))[:200]
