"""Mends of aggregates, whose FILTER and OVER belong to the call and not to what is put around it; and of named functions."""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from caudal.lake.query.duck import call, cast, duck
from caudal.lake.query.formats import joda
from caudal.lake.query.mends import at_timezone, decimal_quotient, with_timezone
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
    if isinstance(node, exp.Anonymous) and node.name.lower() == "map_agg":
        pairs = duck("LIST({'k': :k, 'v': :v})", k=node.expressions[0], v=node.expressions[1])
        return call("caudal_map", _instead(whole, node, pairs))
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


def _match(test: str) -> Callable[..., Any]:
    def build(values: Any, condition: Any) -> Any:
        return duck(test, a=values, f=call("LIST_FILTER", values, condition))

    return build


_URL = r"^([a-zA-Z][a-zA-Z0-9+.-]*)://(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)(?::[0-9]+)?([^?#]*)(?:\?([^#]*))?"


def _url(group: int) -> Callable[..., Any]:
    return lambda url: duck(f"CASE WHEN REGEXP_MATCHES(:u, '{_URL}') THEN REGEXP_EXTRACT(:u, '{_URL}', {group}) END", u=url)


def _text(template: str) -> Callable[..., Any]:
    """A function of any number of arguments, which the template calls :a, :b."""
    return lambda *arguments: duck(template, **dict(zip("ab", arguments, strict=False)))


NAMED_MENDS: dict[str, Callable[..., Any]] = {
    "e": _text("EXP(1)"), "infinity": _text("CAST('inf' AS DOUBLE)"), "nan": _text("CAST('nan' AS DOUBLE)"),
    "is_finite": _text("ISFINITE(:a)"), "is_infinite": _text("ISINF(:a)"), "codepoint": _text("UNICODE(:a)"),
    "hamming_distance": _text("HAMMING(:a, :b)"), "every": _text("BOOL_AND(:a)"), "yow": _text("ISOYEAR(:a)"),
    "millisecond": _text("MILLISECOND(:a) % 1000"), "to_iso8601": _text("STRFTIME(:a, '%Y-%m-%dT%H:%M:%S.%gZ')"),
    "format_datetime": lambda moment, pattern: call("STRFTIME", moment, exp.Literal.string(joda(pattern))),
    "at_timezone": at_timezone, "with_timezone": with_timezone,
    "array_union": _text("LIST_DISTINCT(LIST_CONCAT(:a, :b))"), "arrays_overlap": _text("LIST_HAS_ANY(:a, :b)"),
    "any_match": _match("LEN(:f) > 0"), "none_match": _match("LEN(:f) = 0"), "all_match": _match("LEN(:f) = LEN(:a)"),
    "zip": lambda *lists: call("LIST_ZIP", *lists),
    "url_extract_protocol": _url(1), "url_extract_host": _url(2), "url_extract_path": _url(3), "url_extract_query": _url(4),
}
"""Functions that sqlglot has no class for, by Athena's name."""
