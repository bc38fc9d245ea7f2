"""Functions that take lambdas where DuckDB has none: their bodies are put into one of its own."""

from typing import Any

from sqlglot import exp

from caudal.errors import QueryError
from caudal.lake.query.duck import duck

KEY, VALUE = "_k", "_v"


def applied(function: Any, *values: Any) -> Any:
    """The body of a lambda with values in place of its parameters. Raises QueryError for what is no such lambda."""
    if not isinstance(function, exp.Lambda) or len(function.expressions) != len(values):
        raise QueryError(f"a function of {len(values)} parameters is missing", hint="write it as (a, b) -> a + b")
    holder = exp.Paren(this=function.this.copy())
    named = dict(zip((name.name for name in function.expressions), values, strict=True))
    for node in list(holder.find_all(exp.Identifier)):
        if node.name in named and _is_variable(node, holder):
            node.replace(named[node.name].copy())
    return holder


def _is_variable(node: Any, holder: Any) -> bool:
    parent = node.parent
    if isinstance(parent, exp.Column | exp.TableAlias | exp.Alias | exp.Lambda | exp.ColumnDef) and node.arg_key != "this":
        return False
    if isinstance(parent, exp.Column | exp.ColumnDef) or (isinstance(parent, exp.Dot) and node.arg_key == "expression"):
        return False
    inner = node.find_ancestor(exp.Lambda)
    while inner is not None and inner is not holder:
        if node.name in {name.name for name in inner.expressions}:
            return False
        inner = inner.find_ancestor(exp.Lambda)
    return True


def _entry(part: str) -> Any:
    return duck(f"_e.{part}")


def zip_with(left: Any, right: Any, function: Any) -> Any:
    """zip_with(a, b, f): the shorter one is filled with NULL."""
    body = applied(function, duck("LIST_EXTRACT(:a, _i)", a=left), duck("LIST_EXTRACT(:b, _i)", b=right))
    return duck("LIST_TRANSFORM(GENERATE_SERIES(1, GREATEST(LEN(:a), LEN(:b))), LAMBDA _i : :f)", a=left, b=right, f=body)


def map_filter(whole: Any, function: Any) -> Any:
    """map_filter(m, (k, v) -> …)."""
    body = applied(function, _entry("key"), _entry("value"))
    return duck("MAP_FROM_ENTRIES(LIST_FILTER(MAP_ENTRIES(:m), LAMBDA _e : :f))", m=whole, f=body)


def transform_values(whole: Any, function: Any) -> Any:
    """transform_values(m, (k, v) -> …)."""
    body = applied(function, _entry("key"), _entry("value"))
    return duck("MAP_FROM_ENTRIES(LIST_TRANSFORM(MAP_ENTRIES(:m), LAMBDA _e : {'k': _e.key, 'v': :f}))", m=whole, f=body)


def transform_keys(whole: Any, function: Any) -> Any:
    """transform_keys(m, (k, v) -> …)."""
    body = applied(function, _entry("key"), _entry("value"))
    return duck("MAP_FROM_ENTRIES(LIST_TRANSFORM(MAP_ENTRIES(:m), LAMBDA _e : {'k': :f, 'v': _e.value}))", m=whole, f=body)


def map_zip_with(left: Any, right: Any, function: Any) -> Any:
    """map_zip_with(m, n, (k, v, w) -> …): NULL where one has no such key."""
    body = applied(function, duck("_k"), duck("MAP_EXTRACT_VALUE(:a, _k)", a=left), duck("MAP_EXTRACT_VALUE(:b, _k)", b=right))
    keys = duck("caudal_distinct(LIST_CONCAT(MAP_KEYS(:a), MAP_KEYS(:b)))", a=left, b=right)
    return duck("MAP_FROM_ENTRIES(LIST_TRANSFORM(:keys, LAMBDA _k : {'k': _k, 'v': :f}))", keys=keys, f=body)


def array_sort(node: Any) -> Any:
    """array_sort with a comparator: each element goes between those that it is not before and the others."""
    function = node.args.get("expression")
    if function is None:
        return None
    order = applied(function, duck("_y"), duck("LIST_EXTRACT(_x, 1)"))
    return duck(
        "CASE WHEN LEN(:a) > 0 THEN LIST_REDUCE(LIST_TRANSFORM(:a, LAMBDA _w : [_w]), LAMBDA _s, _x : LIST_CONCAT(LIST_CONCAT("
        "LIST_FILTER(_s, LAMBDA _y : :f <= 0), _x), LIST_FILTER(_s, LAMBDA _y : :f > 0))) ELSE :a END", a=node.this, f=order,
    )


def reduce(node: Any) -> Any:
    """reduce(): the last function is applied to the state, which DuckDB does not do."""
    last = node.args.get("finish")
    if not isinstance(last, exp.Lambda) or (isinstance(last.this, exp.Identifier) and last.this.name == last.expressions[0].name):
        node.set("finish", None)
        return None
    node.set("finish", None)
    return duck("LIST_EXTRACT(LIST_TRANSFORM([:state], :f), 1)", state=node, f=last)
