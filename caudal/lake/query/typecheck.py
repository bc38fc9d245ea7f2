"""Types that Athena does not put together, and DuckDB would convert.

Only what is known is looked at: an expression whose type is unknown fits everything.
"""

from collections.abc import Iterator
from typing import Any

from sqlglot import exp

from caudal.errors import QueryError
from caudal.lake.query.check import Statement
from caudal.lake.query.sqltypes import INTEGERS, type_name

_D = exp.DType
_GROUPS = {
    **dict.fromkeys((_D.VARCHAR, _D.TEXT, _D.CHAR, _D.NCHAR, _D.NVARCHAR), "text"),
    **dict.fromkeys((*INTEGERS, _D.DECIMAL, _D.DOUBLE, _D.FLOAT), "number"),
    **dict.fromkeys((_D.DATE, _D.TIMESTAMP, _D.TIMESTAMPTZ, _D.TIMESTAMPNTZ, _D.DATETIME), "time"),
    _D.BOOLEAN: "boolean", _D.VARBINARY: "bytes", _D.INTERVAL: "interval", _D.JSON: "json", _D.ARRAY: "array", _D.MAP: "map",
    _D.STRUCT: "row", _D.UUID: "uuid",
}

_WANTED: dict[str, tuple[str, ...]] = {
    # function and argument, to what it may be
    **dict.fromkeys("Upper Lower Trim Replace Split SplitPart RegexpLike RegexpExtract RegexpExtractAll RegexpReplace RegexpSplit"
                    " RegexpCount Translate StrPosition Levenshtein StartsWith StrToMap StrToTime ParseDatetime"
                    " FromISO8601Timestamp"
                    " FromISO8601Date GroupConcat Like Encode FromBase64 Unhex".split(), ("text",)),
    **dict.fromkeys("Substring Length Pad".split(), ("text", "bytes")), "Reverse": ("text", "bytes", "array"),
    **dict.fromkeys("MD5Digest SHA SHA2Digest Hex ToBase64 Decode".split(), ("bytes",)),
    **dict.fromkeys("JSONExtract JSONExtractScalar".split(), ("text", "json")), "ParseJSON": ("text",), "JSONFormat": ("json",),
    **dict.fromkeys("Abs Sign Sqrt Cbrt Exp Ln Log Pow Floor Ceil Round Trunc Degrees Radians Sin Cos Tan Sinh Cosh Tanh Asin"
                    " Acos Atan"
                    " Atan2 IsNan UnixToTime Chr BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Stddev StddevPop StddevSamp Variance"
                    " VariancePop Corr CovarPop CovarSamp RegrSlope RegrIntercept Skewness Kurtosis ApproxQuantile BitwiseAndAgg"
                    " BitwiseOrAgg BitwiseXorAgg".split(), ("number",)),
    "Sum": ("number", "interval"), "Avg": ("number", "interval"),
    **dict.fromkeys("Year Month Day Hour Minute Second Quarter Week WeekOfYear DayOfMonth DayOfWeekIso DayOfYear YearOfWeek"
                    " Extract"
                    .split(), ("time", "interval")),
    **dict.fromkeys("DateTrunc TimestampTrunc DateAdd DateDiff TimeToStr TimeToUnix LastDay".split(), ("time",)),
    **dict.fromkeys("LogicalAnd LogicalOr CountIf And Or Not".split(), ("boolean",)),
    **dict.fromkeys("ArraySize".split(), ("array", "map")), "Date": ("text", "time"),
    **dict.fromkeys("ArrayDistinct ArrayMax ArrayMin ArraySort ArrayToString ArrayContains ArrayPosition ArrayRemove ArraySlice"
                    " ArrayFilter Transform Flatten Reduce".split(), ("array",)),
    **dict.fromkeys("MapKeys MapFromEntries".split(), ("map", "array")),
}
_NAMED = {
    **dict.fromkeys("at_timezone with_timezone to_iso8601 format_datetime millisecond yow".split(), ("time",)),
    **dict.fromkeys("codepoint hamming_distance regexp_position url_extract_host url_extract_path url_extract_query"
                    " url_extract_protocol"
                    " url_extract_port url_extract_fragment url_extract_parameter url_encode url_decode from_base64url"
                    " split_to_multimap".split(), ("text",)),
    **dict.fromkeys("is_finite is_infinite bit_count bitwise_left_shift bitwise_right_shift geometric_mean to_base".split(),
                    ("number",)),
    **dict.fromkeys("json_array_length json_array_get json_size is_json_scalar".split(), ("text", "json")),
    "every": ("boolean",), "to_base64url": ("bytes",),
}
"""The same of functions that the parser knows by name alone."""
_SPELLED = {
    "TimeToStr": "date_format", "StrToTime": "date_parse", "GroupConcat": "listagg", "MD5Digest": "md5", "SHA2Digest": "sha256",
    "SHA": "sha1", "DateDiff": "date_diff", "LogicalAnd": "bool_and", "LogicalOr": "bool_or", "UnixToTime": "from_unixtime",
    "TimeToUnix": "to_unixtime", "ArraySize": "cardinality", "TimestampTrunc": "date_trunc", "Substring": "substr",
    "Hex": "to_hex",
    "Unhex": "from_hex", "StrPosition": "strpos", "StrToMap": "split_to_map", "Encode": "to_utf8", "Decode": "from_utf8",
    "ArrayToString": "array_join", "Pow": "power", "Trunc": "truncate", "ApproxQuantile": "approx_percentile",
    "Levenshtein": "levenshtein_distance", "ArrayContains": "contains", "ParseJSON": "json_parse", "LastDay": "last_day_of_month",
    "ArrayFilter": "filter", "ArraySlice": "slice", "WeekOfYear": "week", "DayOfWeekIso": "day_of_week",
}
"""Athena's names of those that the parser calls otherwise."""
_TOLD = {"text": "varchar", "bytes": "varbinary", "time": "date or timestamp"}
_CAST = {"text": "varchar", "number": "double", "time": "timestamp", "bytes": "varbinary", "boolean": "boolean",
         "array": "array(…)",
         "map": "map(…)", "json": "json"}
_SECOND = frozenset("Pow Log Atan2 RegexpLike StartsWith Levenshtein BitwiseAnd BitwiseOr BitwiseXor Corr CovarPop CovarSamp"
                    " RegrSlope"
                    " RegrIntercept Split And Or Like DateDiff".split())
"""Those whose second argument is of the same kind as the first."""

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.NullSafeEQ, exp.NullSafeNEQ,
                exp.Nullif)
_UNIONS = (exp.Coalesce, exp.Case, exp.If, exp.Greatest, exp.Least, exp.Array)


def check_types(statement: Statement, tree: Any) -> None:
    """Refuse what Athena refuses. Raises QueryError, TYPE_MISMATCH, that names both types."""
    for node in tree.walk():
        if isinstance(node, _COMPARISONS):
            _same(statement, node, _compared(node), "compare")
        elif isinstance(node, _UNIONS):
            _same(statement, node, list(_results(node)), "put together")
        elif isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod):
            _arithmetic(statement, node)
        elif isinstance(node, exp.DPipe | exp.Concat):
            _joined(statement, node)
        elif isinstance(node, exp.SetOperation):
            _columns(statement, node)
        elif isinstance(node, exp.Values):
            rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
            for column in zip(*rows, strict=False):
                _same(statement, node, list(column), "put together")
        elif isinstance(node, exp.Select) and node.args.get("distinct") and node.args.get("order"):
            _sorted(statement, node)
        _conditions(statement, node)
        _arguments(statement, node)


def group(node: Any) -> str:
    """The kind of an expression's type; empty if it is not known, or NULL."""
    if node is None or isinstance(node, exp.Null | exp.Any | exp.All) or node.type is None:
        return ""
    return _GROUPS.get(node.type.this, "")


def _same(statement: Statement, node: Any, values: list[Any], what: str) -> None:
    known = [value for value in values if group(value)]
    other = next((value for value in known if group(value) != group(known[0])), None)
    if other is not None:
        raise QueryError(f"TYPE_MISMATCH: cannot {what} {type_name(known[0])} and {type_name(other)}",
                         hint="cast one side, or write date '…' or timestamp '…'", **statement.place(node))


def _compared(node: Any) -> list[Any]:
    query = node.args.get("query")
    selects = query.this.selects if query is not None and isinstance(query.this, exp.Query) else []
    return [node.this, node.args.get("expression"), node.args.get("low"), node.args.get("high"), *node.expressions,
            *(selects if len(selects) == 1 else [])]


def _results(node: Any) -> Iterator[Any]:
    if isinstance(node, exp.Case):
        yield from (branch.args["true"] for branch in node.args["ifs"])
        yield node.args.get("default")
    elif isinstance(node, exp.If) and not isinstance(node.parent, exp.Case):
        yield from (node.args["true"], node.args.get("false"))
    elif not isinstance(node, exp.If):
        yield from (node.this, *node.expressions) if not isinstance(node, exp.Array) else node.expressions


def _arithmetic(statement: Statement, node: Any) -> None:
    left, right = group(node.left), group(node.right)
    if not left or not right or {left, right} == {"number"}:
        return
    pairs = {("time", "interval"), ("interval", "interval"), ("time", "time")}
    if isinstance(node, exp.Add):
        pairs = {("time", "interval"), ("interval", "time"), ("interval", "interval")}
    elif isinstance(node, exp.Mul):
        pairs = {("interval", "number"), ("number", "interval")}
    elif isinstance(node, exp.Div | exp.Mod):
        pairs = {("interval", "number")} if isinstance(node, exp.Div) else set()
    if (left, right) not in pairs:
        sign = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Mod": "%"}[type(node).__name__]
        raise QueryError(f"TYPE_MISMATCH: cannot apply {type_name(node.left)} {sign} {type_name(node.right)}",
                         hint="cast one side; dates take + interval '1' day", **statement.place(node))


def _joined(statement: Statement, node: Any) -> None:
    values = [node.left, node.right] if isinstance(node, exp.DPipe) else node.expressions
    kinds = {group(value) for value in values} - {""}
    if "array" in kinds:
        return
    wrong = next((value for value in values if group(value) not in ("text", "bytes", "")), None)
    if wrong is not None:
        raise QueryError(f"TYPE_MISMATCH: cannot concatenate {type_name(wrong)}", hint="cast it to varchar",
                         **statement.place(node))
    _same(statement, node, values, "concatenate")


def _columns(statement: Statement, node: Any) -> None:
    left, right = node.left.selects, node.right.selects
    if len(left) != len(right):
        raise QueryError(f"TYPE_MISMATCH: {node.key.upper()} of {len(left)} columns and {len(right)}",
                         hint="select as many columns on both sides", **statement.place(node))
    for one, other in zip(left, right, strict=True):
        _same(statement, node, [one, other], f"make one column of {node.key.upper()} from")


def _sorted(statement: Statement, select: Any) -> None:
    """What is distinct is sorted by what is selected."""
    shown = {part.unalias().sql() for part in select.selects} | set(select.named_selects)
    for part in select.args["order"].expressions:
        key = part.this
        if not isinstance(key, exp.Literal) and key.sql() not in shown and key.name not in shown:
            raise QueryError("EXPRESSION_NOT_IN_DISTINCT: ORDER BY of SELECT DISTINCT takes what is selected",
                             hint="select it too, or use GROUP BY", **statement.place(key))


def _conditions(statement: Statement, node: Any) -> None:
    """What has to be true or false."""
    parts = []
    if isinstance(node, exp.Where | exp.Having):
        parts = [node.this]
    elif isinstance(node, exp.If):
        is_compared = isinstance(node.parent, exp.Case) and node.parent.this is not None
        parts = [] if is_compared else [node.this]
    elif isinstance(node, exp.Join):
        parts = [node.args.get("on")]
    elif isinstance(node, exp.Case) and node.this is not None:
        _same(statement, node, [node.this, *(branch.this for branch in node.args["ifs"])], "compare")
    for part in parts:
        if group(part) not in ("", "boolean"):
            raise QueryError(f"TYPE_MISMATCH: a condition is boolean, not {type_name(part)}", hint="compare it with something",
                             **statement.place(part))


def _arguments(statement: Statement, node: Any) -> None:
    named = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    wanted = _NAMED.get(named) if named else _WANTED.get(type(node).__name__)
    if wanted is None:
        return
    values = [node.expression if isinstance(node, exp.Extract) else node.this if not named else (node.expressions or [None])[0]]
    if type(node).__name__ in _SECOND:
        values.append(node.args.get("expression"))
    for value in values:
        if isinstance(value, exp.Distinct):
            value = value.expressions[0]
        if isinstance(value, exp.Order):
            value = value.this
        if group(value) not in ("", *wanted):
            usual = node.sql_name().lower() if isinstance(node, exp.Func) else node.key
            name = named or _SPELLED.get(type(node).__name__, usual)
            takes = " or ".join(_TOLD.get(kind, kind) for kind in wanted)
            raise QueryError(f"TYPE_MISMATCH: {name} takes {takes}, not {type_name(value)}",
                             hint=f"cast it: CAST(… AS {_CAST[wanted[0]]})", **statement.place(node))
