"""Which type each function of Athena gives, where sqlglot does not know, or knows another engine's. None is guessed."""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from caudal.lake.query.sqltypes import INTEGERS, digits, is_decimal
from caudal.lake.query.sqltypes import TYPES as KNOWN

Rule = Callable[[Any, list[Any]], Any]
"""From the node and the types of its arguments to its type, or None."""

_UNKNOWN = exp.DType.UNKNOWN


def _type(text: str) -> Any:
    return exp.DataType.build(text, dialect="athena")


def array_of(kind: Any) -> Any:
    """ARRAY(kind); None if that is unknown."""
    return exp.DataType(this=exp.DType.ARRAY, expressions=[kind.copy()], nested=True) if is_known(kind) else None


def map_of(key: Any, value: Any) -> Any:
    """MAP(key, value); None if one is unknown."""
    if not (is_known(key) and is_known(value)):
        return None
    return exp.DataType(this=exp.DType.MAP, expressions=[key.copy(), value.copy()], nested=True)


def is_known(kind: Any) -> bool:
    """Whether a type says something."""
    return kind is not None and kind.this not in (_UNKNOWN, exp.DType.NULL)


def part_of(kind: Any, index: int = 0) -> Any:
    """The type of an array's elements, a map's keys (0) or values (1); None if it is unknown."""
    if not is_known(kind) or kind.this not in (exp.DType.ARRAY, exp.DType.MAP) or len(kind.expressions) <= index:
        return None
    found = kind.expressions[index]
    return found if isinstance(found, exp.DataType) else None


def _lambda(annotator: Any, function: Any, *kinds: Any) -> Any:
    """The type of a lambda's result, with these types of its parameters."""
    if not isinstance(function, exp.Lambda):
        return None
    named = {name.name: kind for name, kind in zip(function.expressions, kinds, strict=False) if is_known(kind)}
    for node in function.this.walk():
        if isinstance(node, exp.Identifier) and node.name in named:
            annotator._set_type(node, named[node.name])
        elif not isinstance(node, exp.Column | exp.Literal | exp.DataType):
            annotator._visited.pop(id(node), None)
    annotator.annotate_expression(function.this)
    return function.this.type


def _with_lambda(annotator: Any, node: Any) -> Any:
    """Functions that take lambdas: the parameters get their types first."""
    name = node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__
    parts = node.expressions if isinstance(node, exp.Anonymous) else [node.this, node.expression]
    first = parts[0].type if parts else None
    result = None
    if name in ("Transform", "ArrayFilter", "any_match", "all_match", "none_match", "find_first"):
        body = _lambda(annotator, parts[-1], part_of(first))
        result = {"Transform": array_of(body), "ArrayFilter": first, "find_first": part_of(first)}.get(name, _type("BOOLEAN"))
    elif name == "zip_with" and len(parts) == 3:
        result = array_of(_lambda(annotator, parts[2], part_of(first), part_of(parts[1].type)))
    elif name in ("map_filter", "transform_values", "transform_keys") and len(parts) == 2:
        key, value = part_of(first), part_of(first, 1)
        body = _lambda(annotator, parts[1], key, value)
        result = {"map_filter": first, "transform_values": map_of(key, body)}.get(name, map_of(body, value))
    elif name == "map_zip_with" and len(parts) == 3:
        key = part_of(first)
        result = map_of(key, _lambda(annotator, parts[2], key, part_of(first, 1), part_of(parts[1].type, 1)))
    elif name == "ArraySort":
        _lambda(annotator, parts[1], part_of(first), part_of(first))
        result = first
    return annotator._set_type(node, result)


def _reduce(annotator: Any, node: Any) -> Any:
    state = node.args["initial"].type
    _lambda(annotator, node.args["merge"], state, part_of(node.this.type))
    last = _lambda(annotator, node.args.get("finish"), state)
    return annotator._set_type(node, last if node.args.get("finish") is not None else state)


def _always(kind: str) -> Callable[..., Any]:
    found = _type(kind)
    return lambda *_: found


_FIXED = {
    "VARCHAR": "format_datetime to_iso8601 to_base to_base64url url_extract_host url_extract_path url_extract_query"
               " url_extract_protocol url_extract_fragment url_extract_parameter url_encode url_decode",
    "BIGINT": "json_array_length json_size millisecond yow to_milliseconds hamming_distance bit_count bitwise_left_shift"
              " bitwise_right_shift bitwise_right_shift_arithmetic url_extract_port",
    "INTEGER": "codepoint regexp_position",
    "DOUBLE": "e infinity nan geometric_mean",
    "BOOLEAN": "is_finite is_infinite every arrays_overlap is_json_scalar",
    "TIMESTAMP": "at_timezone with_timezone from_unixtime_nanos",
    "VARBINARY": "from_base64url",
    "JSON": "json_array_get",
}
_NAMED: dict[str, Rule] = {
    **{name: _always(kind) for kind, names in _FIXED.items() for name in names.split()},
    **dict.fromkeys(("array_union", "trim_array", "map_concat", "map_union"), lambda _, kinds: kinds[0]),
    "array_histogram": lambda _, kinds: map_of(part_of(kinds[0]), _type("BIGINT")),
    "histogram": lambda _, kinds: map_of(kinds[0], _type("BIGINT")),
    "map_agg": lambda _, kinds: map_of(kinds[0], kinds[1]),
    "multimap_agg": lambda _, kinds: map_of(kinds[0], array_of(kinds[1])),
    "map_values": lambda _, kinds: array_of(part_of(kinds[0], 1)),
    "map_entries": lambda _, kinds: array_of(row_of([part_of(kinds[0]), part_of(kinds[0], 1)])),
    "zip": lambda _, kinds: array_of(row_of([part_of(kind) for kind in kinds])),
    "split_to_multimap": lambda _, __: _type("MAP(VARCHAR, ARRAY(VARCHAR))"),
}
_LAMBDAS = ("any_match", "all_match", "none_match", "find_first", "zip_with", "map_filter", "transform_values", "transform_keys",
            "map_zip_with")


def row_of(kinds: list[Any]) -> Any:
    """ROW of these types; None if one is unknown."""
    if not all(map(is_known, kinds)):
        return None
    return exp.DataType(this=exp.DType.STRUCT, expressions=[kind.copy() for kind in kinds], nested=True)


def _named(annotator: Any, node: Any) -> Any:
    name = node.name.lower()
    if name in _LAMBDAS:
        return _with_lambda(annotator, node)
    rule, kinds = _NAMED.get(name), [part.type for part in node.expressions]
    try:
        return annotator._set_type(node, rule(node, kinds) if rule else None)
    except IndexError:  # too few arguments: told of later
        return annotator._set_type(node, None)


def _by(rule: Callable[[Any], Any]) -> dict[str, Any]:
    return {"annotator": lambda annotator, node: annotator._set_type(node, rule(node))}


def _bracket(node: Any) -> Any:
    """a[i], m[k], element_at(), row[i]."""
    kind, place = node.this.type, node.expressions[0]
    if is_known(kind) and kind.this == exp.DType.STRUCT:
        index = int(place.name) - 1 if isinstance(place, exp.Literal) and place.name.isdigit() else -1
        found = kind.expressions[index] if 0 <= index < len(kind.expressions) else None
        return found.args.get("kind") if isinstance(found, exp.ColumnDef) else found
    return part_of(kind, 1 if is_known(kind) and kind.this == exp.DType.MAP else 0)


def _unnest(node: Any) -> Any:
    """The one type that all of its columns have, for sqlglot keeps no more; integers count as one."""
    kinds = [part_of(part.type, index) for part in node.expressions for index in range(_width(part.type))]
    kinds += [_type("BIGINT")] if node.args.get("offset") else []
    if len(kinds) > 1 and all(is_known(kind) and kind.this in INTEGERS for kind in kinds):
        return _type("BIGINT")
    return kinds[0] if kinds and all(kind == kinds[0] for kind in kinds) else None


def _width(kind: Any) -> int:
    return 2 if is_known(kind) and kind.this == exp.DType.MAP else 1


def _minus(usual: Any) -> Any:
    times = (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ)

    def annotate(annotator: Any, node: Any) -> Any:
        if all(is_known(side.type) and side.type.this in times for side in (node.left, node.right)):
            return annotator._set_type(node, exp.DType.INTERVAL)
        return usual(annotator, node)

    return annotate


def _percentile(node: Any) -> Any:
    return array_of(node.this.type) if isinstance(node.args["quantile"], exp.Array) else node.this.type


def _ranked(node: Any) -> Any:
    """max(x, n), max_by(x, y, n) and their like give arrays."""
    several = node.args.get("count") is not None or (isinstance(node, exp.Max | exp.Min) and node.expressions)
    return array_of(node.this.type) if several else node.this.type


_CLASSES = {
    "VARCHAR": "SplitPart Pad Replace RegexpReplace RegexpExtract Format TimeToStr JSONExtractScalar Hex ToBase64 Decode"
               " JSONFormat"
               " ArrayToString GroupConcat Trim Chr ConcatWs Translate Typeof",
    "VARBINARY": "Unhex FromBase64 Encode MD5Digest SHA SHA2Digest HexString",
    "BIGINT": "ArrayPosition WidthBucket RegexpCount StrPosition Length BitwiseXorAgg RegrCount ApproxDistinct Grouping",
    "BOOLEAN": "RegexpLike JSONArrayContains ArrayContains StartsWith EndsWith IsNan LogicalAnd LogicalOr Exists",
    "DOUBLE": "Cos Cosh Sin Sinh Tan Tanh Acos Asin Atan Atan2 Sqrt Cbrt Exp Ln Log Pow Degrees Radians Pi Stddev StddevPop"
              " StddevSamp"
              " Variance VariancePop Corr CovarPop CovarSamp RegrSlope RegrIntercept Skewness Kurtosis",
    "ARRAY(VARCHAR)": "Split RegexpSplit RegexpExtractAll",
    "MAP(VARCHAR, VARCHAR)": "StrToMap",
    "DATE": "LastDay FromISO8601Date Date CurrentDate",
    "UUID": "Uuid",
}

TYPES = KNOWN | {
    **{getattr(exp, name): _by(_always(kind)) for kind, names in _CLASSES.items() for name in names.split()},
    **{kind: {"annotator": _with_lambda} for kind in (exp.Transform, exp.ArrayFilter, exp.ArraySort)},
    **dict.fromkeys((exp.Reverse, exp.Substring, exp.Trunc, exp.ArrayDistinct, exp.ArrayExcept, exp.ArraySlice, exp.ArrayRemove),
                    _by(lambda node: node.this.type)),
    **dict.fromkeys((exp.Max, exp.Min, exp.ArgMax, exp.ArgMin), _by(_ranked)),
    exp.ArrayIntersect: _by(lambda node: node.expressions[0].type),
    exp.Anonymous: {"annotator": _named},
    exp.Reduce: {"annotator": _reduce},
    exp.Bracket: _by(_bracket),
    exp.Unnest: _by(_unnest),
    exp.Repeat: _by(lambda node: array_of(node.this.type)),
    exp.GenerateSeries: _by(lambda node: array_of(node.args["start"].type)),
    exp.ArrayMax: _by(lambda node: part_of(node.this.type)),
    exp.ArrayMin: _by(lambda node: part_of(node.this.type)),
    exp.Flatten: _by(lambda node: part_of(node.this.type)),
    exp.MapKeys: _by(lambda node: array_of(part_of(node.this.type))),
    exp.ApproxQuantile: _by(_percentile),
    exp.Rand: _by(lambda node: _type("DOUBLE") if node.this is None else node.this.type),
    exp.Round: _by(lambda node: node.this.type if not is_decimal(node.this) else None),
    exp.Sign: _by(lambda node: _type("DOUBLE") if digits(node.this) is None else _type("INTEGER")),
    exp.Sub: {"annotator": _minus(KNOWN[exp.Sub]["annotator"])},
}
"""What sqlglot is told about Athena\'s types."""
