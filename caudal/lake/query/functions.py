"""Functions of Athena that sqlglot knows by name alone, or not as Athena means them, as expressions of DuckDB."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from caudal.errors import QueryError
from caudal.lake.query.duck import call, cast, duck, is_type
from caudal.lake.query.formats import joda
from caudal.lake.query.lambdas import map_filter, map_zip_with, transform_keys, transform_values, zip_with
from caudal.lake.query.mends import at_timezone, with_timezone
from caudal.lake.query.sqltypes import type_name

Build = Callable[..., Any]


def built(name: str, arguments: list[Any]) -> Any:
    """What stands in for a call, or None to keep it. Raises QueryError for a wrong number of arguments."""
    build = NAMED_MENDS.get(name)
    if build is None:
        return None
    try:
        inspect.signature(build).bind(*arguments)
    except TypeError:
        raise QueryError(f"TYPE_MISMATCH: function {name} does not take {len(arguments)} arguments",
                         hint="look its arguments up in Athena's documentation") from None
    return build(*arguments)


def _text(template: str) -> Build:
    """A function whose arguments the template calls :a, :b, :c."""
    count = len(set(re.findall(r":([abc])\b", template)))
    shapes: dict[int, Build] = {
        0: lambda: duck(template), 1: lambda a: duck(template, a=a), 2: lambda a, b: duck(template, a=a, b=b),
        3: lambda a, b, c: duck(template, a=a, b=b, c=c),
    }
    return shapes[count]


def _match(test: str) -> Build:
    def build(values: Any, condition: Any) -> Any:
        return duck(test, a=values, f=call("LIST_FILTER", values, condition))

    return build


_URL = (
    r"^([a-zA-Z][a-zA-Z0-9+.-]*)://(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)(?::([0-9]+))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?"
)


def _url(group: int, empty: str = ":x", outer: str = ":x") -> Build:
    """A part of a URL, NULL for what is none."""
    def build(url: Any) -> Any:
        part = duck(f"REGEXP_EXTRACT(:u, '{_URL}', {group})", u=url)
        return duck(f"CASE WHEN REGEXP_MATCHES(:u, '{_URL}') THEN {outer.replace(':x', empty)} END", u=url, x=part)

    return build


def _url_parameter(url: Any, name: Any) -> Any:
    query = duck(f"STR_SPLIT(REGEXP_EXTRACT(:u, '{_URL}', 5), '&')", u=url)
    first = duck("LIST_EXTRACT(LIST_FILTER(:q, LAMBDA _p : SPLIT_PART(_p, '=', 1) = :n), 1)", q=query, n=name)
    return duck("URL_DECODE(SUBSTRING(:f, LENGTH(:n) + 2))", f=first, n=name)


def _to_iso8601(moment: Any) -> Any:
    return call("STRFTIME", moment, exp.Literal.string("%Y-%m-%d" if is_type(moment, "DATE") else "%Y-%m-%dT%H:%M:%S.%gZ"))


def _bit_count(value: Any, bits: Any) -> Any:
    if not isinstance(bits, exp.Literal) or bits.is_string or not 2 <= int(bits.name) <= 64:
        raise QueryError("bit_count(x, bits): bits is not a number from 2 to 64", hint="write it as a number")
    mask = exp.Literal.number((1 << int(bits.name)) - 1)
    return duck("BIT_COUNT(CAST(:a AS BIGINT) & :m)" if bits.name != "64" else "BIT_COUNT(CAST(:a AS BIGINT))", a=value, m=mask)


_PAIRS = "LIST_TRANSFORM(LIST_FILTER(STR_SPLIT(:a, :b), LAMBDA _p : _p <> ''), LAMBDA _p : {'k': SPLIT_PART(_p, :c, 1)," \
         " 'v': SUBSTRING(_p, LENGTH(SPLIT_PART(_p, :c, 1)) + LENGTH(:c) + 1)})"

NAMED_MENDS: dict[str, Build] = {
    "e": _text("EXP(1)"), "infinity": _text("CAST('inf' AS DOUBLE)"), "nan": _text("CAST('nan' AS DOUBLE)"),
    "is_finite": _text("ISFINITE(:a)"), "is_infinite": _text("ISINF(:a)"), "codepoint": _text("UNICODE(:a)"),
    "to_base": _text("LOWER(TO_BASE(:a, :b))"), "bit_count": _bit_count,
    "bitwise_left_shift": _text("CAST(:a AS BIGINT) << :b"), "bitwise_right_shift_arithmetic": _text("CAST(:a AS BIGINT) >> :b"),
    "bitwise_right_shift": _text("CASE WHEN :a >= 0 OR :b = 0 THEN CAST(:a AS BIGINT) >> :b"
                                 " ELSE ((CAST(:a AS BIGINT) >> 1) & 9223372036854775807) >> (:b - 1) END"),
    "hamming_distance": _text("HAMMING(:a, :b)"), "every": _text("BOOL_AND(:a)"), "yow": _text("ISOYEAR(:a)"),
    "millisecond": _text("MILLISECOND(:a) % 1000"), "to_iso8601": _to_iso8601,
    "to_milliseconds": _text("CAST(ROUND(EPOCH(:a) * 1000) AS BIGINT)"),
    "from_unixtime_nanos": _text("CAST(MAKE_TIMESTAMP(CAST(:a AS BIGINT) // 1000) AS TIMESTAMPTZ)"),
    "format_datetime": lambda moment, pattern: call("STRFTIME", moment, exp.Literal.string(joda(pattern))),
    "at_timezone": at_timezone, "with_timezone": with_timezone,
    "regexp_position": _text("CASE WHEN REGEXP_MATCHES(:a, :b) THEN"
                             " LENGTH(REGEXP_EXTRACT(:a, CONCAT('^([\\s\\S]*?)(?:', :b, ')'), 1)) + 1 WHEN NOT :a IS NULL THEN"
                             " -1 END"),
    "split_to_multimap": _text(f"caudal_multimap({_PAIRS})"),
    "url_extract_protocol": _url(1), "url_extract_host": _url(2), "url_extract_path": _url(4), "url_extract_query": _url(5),
    "url_extract_port": _url(3, outer="TRY_CAST(:x AS BIGINT)"), "url_extract_fragment": _url(6),
    "url_extract_parameter": _url_parameter, "url_decode": _text("URL_DECODE(REPLACE(:a, '+', ' '))"),
    "url_encode": _text("REPLACE(REPLACE(REPLACE(URL_ENCODE(:a), '%20', '+'), '%2A', '*'), '~', '%7E')"),
    "to_base64url": _text("TRANSLATE(TO_BASE64(:a), '+/', '-_')"), "from_base64url": _text("FROM_BASE64(TRANSLATE(:a, '-_',"
                                                                                           " '+/'))"),
    "json_array_get": _text("JSON_EXTRACT(:a, CONCAT('$[', CASE WHEN :b < 0 THEN '#' ELSE '' END, :b, ']'))"),
    "json_array_length": _text("CASE WHEN JSON_VALID(:a) THEN CASE WHEN JSON_TYPE(:a) = 'ARRAY' THEN"
                               " CAST(JSON_ARRAY_LENGTH(:a) AS BIGINT) END END"),
    "json_size": _text("CAST(CASE JSON_TYPE(:a, :b) WHEN 'ARRAY' THEN JSON_ARRAY_LENGTH(:a, :b)"
                       " WHEN 'OBJECT' THEN LEN(JSON_KEYS(:a, :b)) ELSE JSON_TYPE(:a, :b) IS NULL END AS BIGINT)"),
    "is_json_scalar": _text("JSON_TYPE(:a) NOT IN ('OBJECT', 'ARRAY')"),
    "array_union": _text("caudal_distinct(LIST_CONCAT(:a, :b))"), "arrays_overlap": _text("LIST_HAS_ANY(:a, :b)"),
    "any_match": _match("LEN(:f) > 0"), "none_match": _match("LEN(:f) = 0"), "all_match": _match("LEN(:f) = LEN(:a)"),
    "find_first": lambda values, condition: duck("LIST_EXTRACT(:f, 1)", f=call("LIST_FILTER", values, condition)),
    "trim_array": _text("LIST_SLICE(:a, 1, LEN(:a) - :b)"), "zip": lambda *lists: call("LIST_ZIP", *lists), "zip_with": zip_with,
    "array_histogram": _text("MAP_FROM_ENTRIES(LIST_TRANSFORM(caudal_distinct(LIST_FILTER(:a, LAMBDA _z : NOT _z IS NULL)),"
                             " LAMBDA _x : {'k': _x, 'v': LEN(LIST_FILTER(:a, LAMBDA _y : _y = _x))}))"),
    "map_filter": map_filter, "transform_values": transform_values, "transform_keys": transform_keys,
    "map_zip_with": map_zip_with,
    "multimap_from_entries": _text("caudal_multimap(LIST_TRANSFORM(:a, LAMBDA _p : {'k': STRUCT_EXTRACT_AT(_p, 1),"
                                   " 'v': STRUCT_EXTRACT_AT(_p, 2)}))"),
}
"""Functions that sqlglot has no class for, by Athena's name."""


# what sqlglot has a class for


def width_bucket(node: Any) -> Any:
    """width_bucket(x, low, high, n), and (x, bins)."""
    bins = node.args.get("min_value") or node.args.get("threshold") or node.expression
    if node.args.get("num_buckets") is None:
        return duck("LEN(LIST_FILTER(:b, LAMBDA _b : _b <= :x))", x=node.this, b=bins)
    up = "CASE WHEN :x < :l THEN 0 WHEN :x >= :h THEN :n + 1 ELSE CAST(FLOOR((:x - :l) / (:h - :l) * :n) AS BIGINT) + 1 END"
    down = up.replace("<", "≤").replace(">=", "<=").replace("≤", ">")
    parts = {"l": node.args["min_value"], "h": node.args["max_value"], "n": node.args["num_buckets"]}
    return duck(f"CASE WHEN :l <= :h THEN {up} ELSE {down} END", x=cast(node.this, "DOUBLE"), **parts)


def rand(node: Any) -> Any:
    """random(n), random(m, n): whole numbers below n."""
    low, high = node.this, node.args.get("lower")
    if low is None:
        return None
    if high is None:
        return duck("CAST(FLOOR(RANDOM() * :n) AS BIGINT)", n=low)
    return duck("CAST(FLOOR(RANDOM() * (:h - :l)) + :l AS BIGINT)", l=low, h=high)


def typeof(node: Any) -> Any:
    """typeof(): known before the query runs, by Athena's name."""
    return exp.Literal.string(type_name(node.this))


def split(node: Any) -> Any:
    """split(s, d, n): what is past n parts stays in the last."""
    limit = node.args.get("limit")
    if limit is None:
        return None
    return duck(
        "CASE WHEN LEN(:p) <= :n THEN :p ELSE LIST_APPEND(LIST_SLICE(:p, 1, :n - 1), ARRAY_TO_STRING(LIST_SLICE(:p, :n,"
        " LEN(:p)), :d)) END",
        p=call("STR_SPLIT", node.this, node.expression), n=limit, d=node.expression,
    )


def str_position(node: Any) -> Any:
    """strpos(s, t, n): of the nth time."""
    times = node.args.get("occurrence")
    if times is None:
        return None
    parts, part = call("STR_SPLIT", node.this, node.args["substr"]), node.args["substr"]
    return duck("CASE WHEN LEN(:p) > :n THEN LENGTH(ARRAY_TO_STRING(LIST_SLICE(:p, 1, :n), :t)) + 1 WHEN NOT :p IS NULL THEN 0"
                " END",
                p=parts, n=times, t=part)


def str_to_map(node: Any) -> Any:
    """split_to_map(s, between entries, between key and value)."""
    return duck(f"MAP_FROM_ENTRIES({_PAIRS})", a=node.this, b=node.args["pair_delim"], c=node.args["key_value_delim"])


def length(node: Any) -> Any:
    """length(): of bytes, their number."""
    return call("OCTET_LENGTH", node.this) if is_type(node.this, "VARBINARY") else None


def reverse(node: Any) -> Any:
    """reverse(): of an array, too."""
    return call("LIST_REVERSE", node.this) if is_type(node.this, "ARRAY") else None


def sign(node: Any) -> Any:
    """sign(): of its argument's type."""
    return cast(node.copy(), "DOUBLE") if is_type(node.this, "DOUBLE", "FLOAT") else cast(node.copy(), "INT")


def distinct(node: Any) -> Any:
    """array_distinct(): in the order of the first ones."""
    return call("caudal_distinct", node.this)


def extreme(node: Any) -> Any:
    """array_max(), array_min(): NULL if one element is."""
    name = "LIST_MAX" if isinstance(node, exp.ArrayMax) else "LIST_MIN"
    return duck(f"CASE WHEN LEN(:a) = LIST_COUNT(:a) THEN {name}(:a) END", a=node.this)


def intersect(node: Any) -> Any:
    """array_intersect(), array_except(): each element once, in the order of the first array."""
    first, second = node.expressions if isinstance(node, exp.ArrayIntersect) else (node.this, node.expression)
    there = ">" if isinstance(node, exp.ArrayIntersect) else "="
    return duck(f"LIST_FILTER(caudal_distinct(:a), LAMBDA _x : COALESCE(LIST_POSITION(:b, _x), 0) {there} 0)", a=first, b=second)


def pipes(node: Any) -> Any:
    """||: an array and an element, too."""
    left, right = is_type(node.left, "ARRAY"), is_type(node.right, "ARRAY")
    if left and not right and node.right.type is not None and not is_type(node.right, "UNKNOWN", "NULL"):
        return call("LIST_APPEND", node.left, node.right)
    if right and not left and node.left.type is not None and not is_type(node.left, "UNKNOWN", "NULL"):
        return call("LIST_PREPEND", node.left, node.right)
    return None


def json_contains(node: Any) -> Any:
    """json_array_contains(json, value)."""
    elements = call("JSON_EXTRACT", node.this, exp.Literal.string("$[*]"))
    return duck("LIST_CONTAINS(LIST_TRANSFORM(:l, LAMBDA _e : CAST(_e AS VARCHAR)), CAST(TO_JSON(:v) AS VARCHAR))",
                l=elements, v=node.expression)


CLASS_MENDS: dict[Any, Callable[[Any], Any]] = {
    exp.WidthBucket: width_bucket, exp.Rand: rand, exp.Typeof: typeof, exp.Split: split, exp.StrPosition: str_position,
    exp.StrToMap: str_to_map, exp.Length: length, exp.Reverse: reverse, exp.Sign: sign, exp.ArrayDistinct: distinct,
    exp.ArrayMax: extreme, exp.ArrayMin: extreme, exp.ArrayIntersect: intersect, exp.ArrayExcept: intersect, exp.DPipe: pipes,
    exp.JSONArrayContains: json_contains,
}
