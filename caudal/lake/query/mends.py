"""What Athena and DuckDB mean differently, one function a kind of expression.

sqlglot translates names and syntax; these functions mend what would then still give another answer, or none. Each takes
a node whose parts are mended already and whose type is known, and returns what stands in for it, or None to keep it.
"""

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from caudal.errors import QueryError
from caudal.lake.query.duck import call, cast, duck, is_type
from caudal.lake.query.formats import joda, printf_arguments
from caudal.lake.query.lambdas import array_sort, reduce
from caudal.lake.query.sqltypes import digits, is_decimal, is_integer, quotient

Mend = Callable[[Any], Any]


def divide(node: Any) -> Any:
    """Integers give an integer, decimals a decimal rounded half up, and both refuse a zero divisor."""
    left, right = digits(node.left), digits(node.right)
    if is_integer(node.left) and is_integer(node.right):
        return duck(":a // :b", a=node.left, b=node.right)
    if left and right and (is_decimal(node.left) or is_decimal(node.right)):
        return decimal_quotient(node.left, node.right, left, right)
    return duck("CAST(:a AS DOUBLE) / :b", a=node.left, b=node.right) if is_type(node, "DOUBLE") else None


def decimal_quotient(a: Any, b: Any, left: tuple[int, int], right: tuple[int, int]) -> Any:
    """a / b in whole numbers, for DuckDB would divide as floats."""
    precision, scale = quotient(left, right)
    return duck(
        "CAST(CAST(caudal_divide(CAST(:a * :up AS HUGEINT), CAST(:b * :unit AS HUGEINT)) AS DECIMAL(38, 0))"
        f" * CAST(:down AS DECIMAL({scale + 1}, {scale})) AS DECIMAL({precision}, {scale}))",
        a=a, b=b, up=exp.Literal.number(10 ** (scale + right[1])), unit=exp.Literal.number(10 ** right[1]),
        down=exp.Literal.number(f"{10 ** -scale:.{scale}f}"),
    )


_EXACT = {"INT", "BIGINT", "SMALLINT", "TINYINT"}


def convert(node: Any) -> Any:
    """CAST and TRY_CAST: lengths cut, floats rounded half up, text to integer without a point, times as Athena prints."""
    target, value = node.args["to"], node.this
    kind = target.this.name
    if kind in ("VARCHAR", "TEXT", "CHAR", "NCHAR") and not isinstance(value, exp.Null):
        if is_type(value, "TIMESTAMP", "TIMESTAMPTZ"):
            value = duck("STRFTIME(:x, '%Y-%m-%d %H:%M:%S.%g')", x=value)
        if is_type(value, "JSON"):
            value = duck("JSON_EXTRACT_STRING(:x, '$')", x=value)
        text = type(node)(this=value, to=exp.DataType.build("VARCHAR"))
        if not target.expressions:
            return text if kind != "CHAR" else duck("LEFT(:x, 1)", x=text)
        size = exp.Literal.number(target.expressions[0].name)
        return duck("RPAD(LEFT(:x, :n), :n, ' ')" if kind in ("CHAR", "NCHAR") else "LEFT(:x, :n)", x=text, n=size)
    if kind == "JSON" and not is_type(value, "JSON"):
        return call("TO_JSON", value)
    if kind in _EXACT and is_type(value, "DOUBLE", "FLOAT"):
        return type(node)(this=duck("ROUND(:x)", x=value), to=target)
    if kind in _EXACT and is_type(value, "VARCHAR", "TEXT"):
        return type(node)(this=duck("TRANSLATE(:x, '.eE_ ', '!!!!!')", x=value), to=target)
    if kind == "DECIMAL" and not target.expressions:
        whole, _, part = value.name.partition(".") if isinstance(value, exp.Literal) else ("", "", "")
        size = f"DECIMAL({max(len(whole) + len(part), 1)},{len(part)})" if part else "DECIMAL(38,0)"
        return type(node)(this=value, to=exp.DataType.build(size))
    return None


def attempt(node: Any) -> Any:
    """try(x): DuckDB's takes no aggregate and no subquery, so there the parts that fail give NULL by themselves."""
    inside = node.this
    if not any(inside.find_all(exp.AggFunc, exp.Subquery, exp.Window, exp.Rand, exp.Uuid)):
        return None
    for part in list(inside.find_all(exp.Div, exp.IntDiv, exp.Mod, exp.Cast, exp.Anonymous)):
        if isinstance(part, exp.Anonymous) and part.name == "caudal_divide":
            part.expressions[1].replace(duck("NULLIF(:b, 0)", b=part.expressions[1]))
        elif isinstance(part, exp.Cast) and not isinstance(part, exp.TryCast):
            part.replace(exp.TryCast(this=part.this.copy(), to=part.args["to"].copy()))
        elif isinstance(part, exp.Div | exp.IntDiv | exp.Mod):
            part.right.replace(duck("NULLIF(:b, 0)", b=part.right))
    return node.this


def compare(node: Any) -> Any:
    """An instant in a zone is still the same instant."""
    for side in [side for side in node.args.values() if isinstance(side, exp.AtTimeZone)]:
        side.replace(side.this.copy())
    return None


def add(node: Any) -> Any:
    """A date and an interval give a date; a date from a date, an interval."""
    if isinstance(node, exp.Sub) and is_type(node.left, "DATE") and is_type(node.right, "DATE"):
        return duck("TO_DAYS(CAST(:a - :b AS INT))", a=node.left, b=node.right)
    if is_type(node.left, "DATE") and isinstance(node.right, exp.Interval):
        return cast(node.copy(), "DATE")
    return None


def date_result(node: Any) -> Any:
    """date_add, date_trunc: of a date, a date."""
    return cast(node.copy(), "DATE") if is_type(node.this, "DATE") else None


def date_diff(node: Any) -> Any:
    """Whole units that passed, not borders that were crossed."""
    start, end = node.expression, node.this
    if not (is_type(start, "DATE") and is_type(end, "DATE")):
        start, end = cast(start, "TIMESTAMPTZ"), cast(end, "TIMESTAMPTZ")
    unit = exp.Literal.string(node.args["unit"].name.lower())
    return call("DATE_SUB", unit, start, end)


def extract(node: Any) -> Any:
    """extract(): Trino's units, whose week begins on Monday."""
    unit = {"DOW": "ISODOW", "DAY_OF_WEEK": "ISODOW", "YOW": "ISOYEAR", "YEAR_OF_WEEK": "ISOYEAR", "DAY_OF_MONTH": "DAY",
            "DAY_OF_YEAR": "DOY"}.get(node.this.name.upper())
    return exp.Extract(this=exp.var(unit), expression=node.expression) if unit else None


def instant(node: Any) -> Any:
    """What DuckDB gives as a time without zone."""
    if isinstance(node, exp.ParseDatetime):
        node = duck("STRPTIME(:x, :f)", x=node.this, f=exp.Literal.string(joda(node.args["format"])))
    return cast(node.copy(), "TIMESTAMPTZ")


def from_unixtime(node: Any) -> Any:
    """from_unixtime(): seconds since 1970 as a time, in a zone if one is given."""
    moment = call("TO_TIMESTAMP", node.this)
    zone = node.args.get("zone") or node.args.get("hours")
    return at_timezone(moment, zone) if zone is not None else moment


def at_zone(node: Any) -> Any:
    """AT TIME ZONE: the wall clock there."""
    return at_timezone(node.this, node.args["zone"])


def at_timezone(moment: Any, zone: Any) -> Any:
    """The instant as that zone's wall clock; a second zone replaces the first."""
    inner = moment.this if isinstance(moment, exp.AtTimeZone) else cast(moment, "TIMESTAMPTZ")
    return exp.AtTimeZone(this=inner.copy(), zone=zone.copy())


def with_timezone(moment: Any, zone: Any) -> Any:
    """The wall clock of that zone as an instant."""
    return exp.AtTimeZone(this=cast(cast(moment, "TIMESTAMPTZ"), "TIMESTAMP"), zone=zone.copy())


def time_text(node: Any) -> Any:
    """date_format(): %v and %x are the ISO week and its year."""
    text = node.args["format"]
    if isinstance(text, exp.Literal):
        text.replace(exp.Literal.string(re.sub(r"%(.)", lambda m: {"v": "%V", "x": "%G"}.get(m[1], m[0]), text.name)))
    return None


def format_text(node: Any) -> Any:
    """format(): Java's, not fmt's."""
    return call("PRINTF", node.this, *printf_arguments(node.this, list(node.expressions)))


def subscript(node: Any) -> Any:
    """a[i], m[k]: an error, not NULL, where there is no such element, and none is counted from the end; and element_at()."""
    whole, (place,) = node.this, node.expressions
    if is_type(whole, "STRUCT"):
        return call("STRUCT_EXTRACT_AT", whole, place)
    if is_type(whole, "MAP"):
        there, found, told = "MAP_CONTAINS(:a, :i)", "MAP_EXTRACT_VALUE(:a, :i)", "no such key"
    else:
        there, found, told = ":i BETWEEN 1 AND LEN(:a)", "LIST_EXTRACT(:a, :i)", "no such subscript"
    if node.args.get("safe"):
        return duck(found, a=whole, i=place)
    # The error is one of a cast, for TRY does not take error(), and in a branch of its own, for OR would try both sides.
    return duck(
        f"CASE WHEN COALESCE({there}, TRUE) THEN {found}"
        f" ELSE CASE WHEN CAST(CONCAT('caudal: {told}', CAST(:i AS VARCHAR)) AS BIGINT) > 0 THEN {found} END END",
        a=whole, i=place,
    )


def substring(node: Any) -> Any:
    """substr(): nothing is at 0, before the start, or of no length."""
    start, length = node.args.get("start"), node.args.get("length")
    is_plain = all(part is None or (isinstance(part, exp.Literal) and not part.is_string) for part in (start, length))
    if is_type(node.this, "VARBINARY"):
        size = duck("2 * :n", n=length) if length is not None else exp.Literal.number(1 << 31)
        return duck("UNHEX(SUBSTRING(HEX(:x), 2 * :s - 1, :n))", x=node.this, s=start, n=size)
    if start is None or (is_plain and int(start.name) > 0) or not is_type(node.this, "VARCHAR", "TEXT"):
        return None
    empty = "CASE WHEN (:s = 0 OR -:s > LENGTH(:x){}) AND NOT :x IS NULL THEN '' ELSE SUBSTRING(:x, :s{}) END"
    if length is None:
        return duck(empty.format("", ""), x=node.this, s=start)
    return duck(empty.format(" OR :n <= 0", ", :n"), x=node.this, s=start, n=length)


def split_part(node: Any) -> Any:
    """NULL, not '', past the last part."""
    return duck("LIST_EXTRACT(STR_SPLIT(:s, :d), :i)", s=node.this, d=node.args["delimiter"], i=node.args["part_index"])


def pattern(node: Any) -> Any:
    """Named groups are (?<name>…) in Java, (?P<name>…) in RE2."""
    text = node.expression
    if isinstance(text, exp.Literal) and "(?<" in text.name:
        text.replace(exp.Literal.string(re.sub(r"\(\?<(?=[a-zA-Z])", "(?P<", text.name)))
    return None


def regexp_extract(node: Any) -> Any:
    """NULL, not '', without a match."""
    pattern(node)
    group = node.args.get("group") or exp.Literal.number(0)
    return duck("CASE WHEN REGEXP_MATCHES(:s, :p) THEN REGEXP_EXTRACT(:s, :p, :g) END", s=node.this, p=node.expression, g=group)


def regexp_replace(node: Any) -> Any:
    """Groups are $1 in Athena, \\1 in DuckDB."""
    pattern(node)
    text = node.args.get("replacement")
    if isinstance(text, exp.Lambda):
        raise QueryError("NOT_SUPPORTED: regexp_replace with a function does not run here",
                         hint="use $1 in a text, or transform(…)")
    if isinstance(text, exp.Literal) and "$" in text.name:
        text.replace(exp.Literal.string(text.name.replace("\\", "\\\\").replace("$", "\\")))
    return None


def json_value(node: Any) -> Any:
    """NULL for text that is not JSON; json_extract_scalar gives NULL for an object or an array."""
    if isinstance(node, exp.JSONExtractScalar):
        return duck(
            "CASE WHEN JSON_VALID(:j) THEN CASE WHEN JSON_TYPE(:j, :p) NOT IN ('OBJECT', 'ARRAY') THEN :x END END",
            j=node.this, p=node.expression, x=node,
        )
    return duck("CASE WHEN JSON_VALID(:j) THEN :x END", j=node.this, x=node)


def size(node: Any) -> Any:
    """cardinality(): of an array or a map."""
    return cast(call("CARDINALITY", node.this), "BIGINT") if is_type(node.this, "MAP") else call("LEN", node.this)


_MOST = 10_000
"""Entries of a sequence, as in Athena; what DuckDB makes at once is outside its memory limit."""


def sequence(node: Any) -> Any:
    """Both ends included; dates by day; downwards when the end is lower."""
    start, end, step = node.args["start"], node.args["end"], node.args.get("step")
    if is_type(start, "DATE", "TIMESTAMP", "TIMESTAMPTZ"):
        step = step or duck("INTERVAL 1 DAY")
        length = duck("ABS(EPOCH(:b) - EPOCH(:a)) / ABS(EPOCH(:s))", a=start, b=end, s=step)
    else:
        step = step or duck("CASE WHEN :a <= :b THEN 1 ELSE -1 END", a=start, b=end)
        length = duck("ABS(CAST(:b AS HUGEINT) - :a) // ABS(:s)", a=start, b=end, s=step)
    made = duck("GENERATE_SERIES(:a, :b, :s)", a=start, b=_limited(length, end), s=step)
    return cast(made, "DATE[]") if is_type(start, "DATE") else made


def _limited(length: Any, end: Any) -> Any:
    """The end of a series, or an error: before the series is made, and not by error(), for TRY does not take that."""
    return duck(f"CASE WHEN :n <= {_MOST} OR CAST(CONCAT('caudal: too long', :n) AS BIGINT) > 0 THEN :end END", n=length, end=end)


def slice_(node: Any) -> Any:
    """slice(array, start, length)."""
    return duck("ARRAY_SLICE(:a, :s, :s + :n - 1)", a=node.this, s=node.args["start"], n=node.args["end"])


def position(node: Any) -> Any:
    """array_position(): 0 where there is none."""
    return duck("CASE WHEN NOT :a IS NULL THEN COALESCE(LIST_POSITION(:a, :x), 0) END", a=node.this, x=node.expression)


def repeat(node: Any) -> Any:
    """repeat(): an array, and not a long text."""
    times = node.args["times"]
    return duck("LIST_TRANSFORM(GENERATE_SERIES(1, :n), LAMBDA _i : :x)", x=node.this, n=_limited(times, times))


def digest(node: Any) -> Any:
    """sha1(), sha256() and their like: bytes, where DuckDB gives hexadecimal text."""
    if isinstance(node, exp.SHA):
        return duck("UNHEX(SHA1(:x))", x=node.this)
    return None


MENDS: dict[Any, Mend] = {
    exp.Div: divide, exp.Cast: convert, exp.TryCast: convert, exp.Try: attempt,
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between), compare),
    exp.Add: add, exp.Sub: add, exp.DateAdd: date_result, exp.TimestampTrunc: date_result, exp.DateTrunc: date_result,
    exp.DateDiff: date_diff, exp.Extract: extract, exp.StrToTime: instant, exp.ParseDatetime: instant,
    exp.Localtimestamp: instant, exp.UnixToTime: from_unixtime, exp.AtTimeZone: at_zone, exp.Format: format_text,
    exp.SplitPart: split_part, exp.RegexpExtract: regexp_extract, exp.RegexpReplace: regexp_replace,
    exp.JSONExtract: json_value, exp.JSONExtractScalar: json_value, exp.ArraySize: size, exp.GenerateSeries: sequence,
    exp.ArraySlice: slice_, exp.ArrayPosition: position, exp.Repeat: repeat, exp.Reduce: reduce, exp.ArraySort: array_sort,
    exp.TimeToStr: time_text, **dict.fromkeys((exp.RegexpLike, exp.RegexpExtractAll, exp.RegexpSplit, exp.RegexpCount), pattern),
    exp.SHA: digest, exp.SHA2Digest: digest, exp.Bracket: subscript, exp.Substring: substring,
}
