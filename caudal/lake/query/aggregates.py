"""Mends of aggregates, whose FILTER and OVER belong to the call and not to what is put around it."""

from typing import Any

from sqlglot import exp

from caudal.lake.query.duck import call, cast, duck
from caudal.lake.query.mends import decimal_quotient
from caudal.lake.query.sqltypes import digits, is_decimal, is_integer

_AROUND = (exp.Filter, exp.Window, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)


def mend_aggregates(tree: Any) -> None:
    """Mend, in place, the aggregates of a tree whose expressions are mended and typed; inner ones first."""
    for node in reversed(list(tree.find_all(exp.AggFunc, exp.Anonymous))):
        whole = node
        while isinstance(whole.parent, _AROUND) and whole.parent.this is whole:
            whole = whole.parent
        new = _mended(node, whole)
        if new is not None:
            new.type = node.type
            whole.replace(new)


def _mended(node: Any, whole: Any) -> Any:
    if isinstance(node, exp.CountIf) or (isinstance(node, exp.Sum) and is_integer(node.this)):
        return cast(whole, "BIGINT")
    if isinstance(node, exp.ApproxQuantile):
        several = isinstance(node.args["quantile"], exp.Array)
        found = _instead(whole, node, call("APPROX_QUANTILE", node.this, node.args["quantile"]))
        return cast(found, "BIGINT") if is_integer(node.this) and not several else found
    if isinstance(node, exp.Avg):
        return _mean(node, whole) if is_decimal(node.this) else None
    if isinstance(node, exp.ArgMax | exp.ArgMin):
        name = "ARG_MAX_NULL" if isinstance(node, exp.ArgMax) else "ARG_MIN_NULL"
        return _instead(whole, node, call(name, node.this, node.expression)) if node.args.get("count") is None else None
    if isinstance(node, exp.BitwiseXorAgg):
        return _instead(whole, node, call("BIT_XOR", node.this))
    return _maps(node, whole) if isinstance(node, exp.Anonymous) else None


def _maps(node: Any, whole: Any) -> Any:
    """map_agg, multimap_agg, map_union: of a key that comes again the first value, or all."""
    name, parts = node.name.lower(), node.expressions
    if name in ("map_agg", "multimap_agg") and len(parts) == 2:
        pairs = duck("LIST({'k': :k, 'v': :v})", k=parts[0], v=parts[1])
        return call("caudal_map" if name == "map_agg" else "caudal_multimap", _instead(whole, node, pairs))
    if name == "map_union" and len(parts) == 1:
        entries = _instead(whole, node, duck("LIST(MAP_ENTRIES(:m))", m=parts[0]))
        return duck("caudal_map(LIST_TRANSFORM(FLATTEN(:l), LAMBDA _p : {'k': _p.key, 'v': _p.value}))", l=entries)
    return None


def _mean(node: Any, whole: Any) -> Any:
    """The average of decimals in exact digits."""
    total, count = (_instead(whole, node, kind(this=node.this.copy())) for kind in (exp.Sum, exp.Count))
    mean = decimal_quotient(total, count, (38, (digits(node.this) or (38, 0))[1]), (19, 0))
    return exp.Cast(this=duck("CASE WHEN :n > 0 THEN :m END", n=count, m=mean), to=node.this.type.copy())


def _instead(whole: Any, node: Any, other: Any) -> Any:
    """A copy of `whole` that has `other` where it had `node`."""
    if whole is node:
        return other
    copy = whole.copy()
    inner = copy
    while isinstance(inner, _AROUND):
        inner = inner.this
    inner.replace(other)
    return copy
