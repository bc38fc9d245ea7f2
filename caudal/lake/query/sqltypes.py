"""Types of columns in Arrow, Athena and DuckDB, and Athena's types of arithmetic on decimals."""

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.types as at
from sqlglot import exp
from sqlglot.dialects import Athena

from caudal.errors import QueryError

_NAMES: tuple[tuple[Callable[[pa.DataType], bool], str, str], ...] = (
    (at.is_boolean, "BOOLEAN", "BOOLEAN"),
    (at.is_int8, "TINYINT", "TINYINT"),
    (at.is_int16, "SMALLINT", "SMALLINT"),
    (at.is_int32, "INTEGER", "INTEGER"),
    (at.is_integer, "BIGINT", "BIGINT"),
    (at.is_float32, "REAL", "FLOAT"),
    (at.is_floating, "DOUBLE", "DOUBLE"),
    (at.is_date, "DATE", "DATE"),
    (at.is_timestamp, "TIMESTAMP", "TIMESTAMPTZ"),
    (at.is_binary, "VARBINARY", "BLOB"),
    (at.is_large_binary, "VARBINARY", "BLOB"),
)


def interval_text(interval: Any) -> str | None:
    """An interval as Athena shows it: `1-2` of years and months, `26779 01:23:51.000` of days and less."""
    if interval is None:
        return None
    months, days, nanoseconds = interval
    if months and not (days or nanoseconds):
        years, rest = divmod(abs(months), 12)
        return f"{'-' if months < 0 else ''}{years}-{rest}"
    whole = (months * 30 + days) * 86_400_000 + nanoseconds // 1_000_000
    seconds, milliseconds = divmod(abs(whole), 1000)
    days, seconds = divmod(seconds, 86_400)
    minutes, seconds = divmod(seconds, 60)
    return f"{'-' if whole < 0 else ''}{days} {minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{milliseconds:03}"


def athena_type(kind: pa.DataType) -> str:
    """Athena's name of an Arrow type."""
    return _name(kind, 1)


def trino_type(kind: pa.DataType) -> str:
    """The same as typeof() and information_schema write it."""
    name = _name(kind, 1).lower()
    return "timestamp(3)" if name == "timestamp" else name


def duckdb_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type; a time is an instant, for Athena's `timestamp` is UTC here."""
    return _name(kind, 2)


def _name(kind: pa.DataType, engine: int) -> str:
    if at.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if at.is_list(kind) or at.is_large_list(kind):
        inner = _name(kind.value_type, engine)
        return f"ARRAY({inner})" if engine == 1 else f"{inner}[]"
    if at.is_map(kind):
        return f"MAP({_name(kind.key_type, engine)}, {_name(kind.item_type, engine)})"
    if at.is_struct(kind):
        fields = ", ".join(f"{field.name} {_name(field.type, engine)}" for field in kind)
        return f"{'ROW' if engine == 1 else 'STRUCT'}({fields})"
    for fits, *names in _NAMES:
        if fits(kind):
            return names[engine - 1]
    return "VARCHAR"


def type_name(node: Any) -> str:
    """Athena's name for the type of an expression; `unknown` for NULL. Raises QueryError if it is not known."""
    if isinstance(node, exp.Literal) and node.is_string:
        return f"varchar({len(node.name)})"
    if isinstance(node, exp.Null):
        return "unknown"
    kind = node.type
    if kind is None or kind.this == exp.DType.UNKNOWN:
        raise QueryError("NOT_SUPPORTED: the type of that is not known before the query runs", hint="cast it to its type")
    name = str(kind.sql("trino")).lower()
    name = re.sub(r"timestamp(?:\(\d\))?", "timestamp(3)", name)
    return {"interval": "interval day to second"}.get(name, re.sub(r"(\d), (\d)", r"\1,\2", name))


INTEGERS = {exp.DType.TINYINT: 3, exp.DType.SMALLINT: 5, exp.DType.INT: 10, exp.DType.BIGINT: 19}
"""Digits of each integer type, when it meets a decimal."""


def decimal(precision: int, scale: int) -> Any:
    """The decimal type; precision is cut to 38, as Athena does."""
    return exp.DataType.build(f"DECIMAL({min(precision, 38)},{scale})", dialect="athena")


def digits(node: Any) -> tuple[int, int] | None:
    """(precision, scale) of a node of decimal or integer type; None for any other."""
    kind = node.type
    if kind is None:
        return None
    if kind.this in INTEGERS:
        return INTEGERS[kind.this], 0
    if kind.this == exp.DType.DECIMAL:
        sizes = [int(part.name) for part in kind.expressions]
        return (sizes[0], sizes[1] if len(sizes) > 1 else 0) if sizes else (38, 0)
    return None


def is_decimal(node: Any) -> bool:
    """Whether an expression is an exact decimal."""
    return node.type is not None and node.type.this == exp.DType.DECIMAL


def is_integer(node: Any) -> bool:
    """Whether an expression is a whole number."""
    return node.type is not None and node.type.this in INTEGERS


def quotient(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """(precision, scale) of decimal / decimal."""
    return min(38, left[0] + right[1] + max(0, right[1] - left[1])), max(left[1], right[1])


def _sum(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    scale = max(left[1], right[1])
    return max(left[0] - left[1], right[0] - right[1]) + scale + 1, scale


def _product(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    return left[0] + right[0], min(38, left[1] + right[1])


def _remainder(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    scale = max(left[1], right[1])
    return min(left[0] - left[1], right[0] - right[1]) + scale, scale


def _binary(rule: Callable[[tuple[int, int], tuple[int, int]], tuple[int, int]], usual: Any) -> Any:
    def annotate(annotator: Any, node: Any) -> Any:
        if any(side.type is None or side.type.this == exp.DType.UNKNOWN for side in (node.left, node.right)):
            return annotator._set_type(node, None)
        usual(annotator, node)
        if any(side.type.this in (exp.DType.DOUBLE, exp.DType.FLOAT) for side in (node.left, node.right)):
            return annotator._set_type(node, exp.DType.DOUBLE)
        if is_integer(node.left) and is_integer(node.right):
            return annotator._set_type(node, max((node.left.type, node.right.type), key=lambda kind: INTEGERS[kind.this]))
        sides = digits(node.left), digits(node.right)
        if (is_decimal(node.left) or is_decimal(node.right)) and sides[0] and sides[1]:
            annotator._set_type(node, decimal(*rule(sides[0], sides[1])))
        return node

    return annotate


def _literal(annotator: Any, node: Any) -> Any:
    """A number with a point and no exponent is a decimal of just its digits."""
    if node.is_string:
        return annotator._set_type(node, exp.DType.VARCHAR)
    text = node.this
    if "e" in text.lower():
        return annotator._set_type(node, exp.DType.DOUBLE)
    if "." in text:
        whole, _, part = text.partition(".")
        return annotator._set_type(node, decimal(max(len(whole.lstrip("0")) + len(part), 1), len(part)))
    return annotator._set_type(node, exp.DType.INT if int(text) < 2**31 else exp.DType.BIGINT)


def _of(argument: str) -> Any:
    """The type of one argument."""
    def annotate(annotator: Any, node: Any) -> Any:
        inner = node.args.get(argument)
        return annotator._set_type(node, inner.type if inner is not None and inner.type else None)

    return annotate


def _widest(annotator: Any, node: Any) -> Any:
    """Of values that become one: the decimal that holds them all, if one is a decimal."""
    values = _values(node)
    found = [size for size in (digits(value) for value in values) if size]
    known = [value for value in values if not isinstance(value, exp.Null)]
    if any(is_decimal(value) for value in known) and len(found) == len(known):
        scale = max(scale for _, scale in found)
        return annotator._set_type(node, decimal(max(p - s for p, s in found) + scale, scale))
    if any(value.type and value.type.this in (exp.DType.DOUBLE, exp.DType.FLOAT) for value in known):
        return annotator._set_type(node, exp.DType.DOUBLE)
    return None


def _values(node: Any) -> list[Any]:
    if isinstance(node, exp.Case):
        values = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")]
    elif isinstance(node, exp.If):
        values = [node.args["true"], node.args.get("false")]
    else:
        values = [node.this, *node.expressions]
    return [value for value in values if value is not None]


def _usual(kind: Any) -> Any:
    metadata = Athena.EXPRESSION_METADATA.get(kind, {})
    if "annotator" in metadata:
        return metadata["annotator"]
    returns = metadata.get("returns")
    return lambda annotator, node: annotator._set_type(node, returns)


def _joined(kind: Any) -> Any:
    usual = _usual(kind)

    def annotate(annotator: Any, node: Any) -> Any:
        if any(value.type is None or value.type.this == exp.DType.UNKNOWN for value in _values(node)):
            return annotator._set_type(node, None)
        usual(annotator, node)
        _widest(annotator, node)
        return node

    return annotate


def _total(annotator: Any, node: Any) -> Any:
    """sum: decimal(38, scale), double, or bigint."""
    size = digits(node.this)
    if is_decimal(node.this) and size:
        return annotator._set_type(node, decimal(38, size[1]))
    return annotator._set_type(node, exp.DType.BIGINT if is_integer(node.this) else node.this.type)


def _mean(annotator: Any, node: Any) -> Any:
    return annotator._set_type(node, node.this.type if is_decimal(node.this) else exp.DType.DOUBLE)


def _whole(annotator: Any, node: Any) -> Any:
    """floor, ceil: of a decimal, one without scale."""
    size = digits(node.this)
    if is_decimal(node.this) and size:
        return annotator._set_type(node, decimal(size[0] - size[1] + min(size[1], 1), 0))
    return annotator._set_type(node, node.this.type)


TYPES = {
    **Athena.EXPRESSION_METADATA,
    exp.Literal: {"annotator": _literal},
    **{kind: {"annotator": _binary(rule, _usual(kind))} for kind, rule in (
        (exp.Add, _sum), (exp.Sub, _sum), (exp.Mul, _product), (exp.Div, quotient), (exp.Mod, _remainder),
    )},
    **{kind: {"annotator": _joined(kind)} for kind in (exp.Coalesce, exp.Case, exp.If, exp.Greatest, exp.Least)},
    **{kind: {"annotator": _of("this")} for kind in (
        exp.ArgMax, exp.ArgMin, exp.Try, exp.TimestampTrunc, exp.DateTrunc, exp.Neg, exp.Abs, exp.Nullif, exp.AnyValue,
        exp.Max, exp.Min, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue, exp.Paren, exp.Filter, exp.Window,
        exp.IgnoreNulls, exp.RespectNulls,
    )},
    exp.Sum: {"annotator": _total},
    exp.Avg: {"annotator": _mean},
    exp.Floor: {"annotator": _whole},
    exp.Ceil: {"annotator": _whole},
    exp.JSONExtract: {"returns": exp.DType.JSON},
    exp.ParseJSON: {"returns": exp.DType.JSON},
    exp.TimeToUnix: {"returns": exp.DType.DOUBLE},
    **{kind: {"returns": exp.DType.BIGINT} for kind in (
        exp.Year, exp.Month, exp.Day, exp.Hour, exp.Minute, exp.Second, exp.Quarter, exp.WeekOfYear, exp.DayOfMonth,
        exp.DayOfWeekIso, exp.DayOfYear, exp.YearOfWeek, exp.Extract, exp.DateDiff, exp.Levenshtein, exp.ArraySize,
        exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile,
    )},
    exp.UnixToTime: {"returns": exp.DType.TIMESTAMP},
    exp.StrToTime: {"returns": exp.DType.TIMESTAMP},
    exp.CurrentTimestamp: {"returns": exp.DType.TIMESTAMP},
    exp.FromISO8601Timestamp: {"returns": exp.DType.TIMESTAMP},
}
"""What sqlglot is told about Athena's types beyond what it knows."""
