"""What a query does, step by step, for EXPLAIN: in the query's own words and the lake's names."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from sqlglot import exp

from caudal.lake.query.dialect import UNNAMED
from caudal.lake.query.names import tables_of

COLUMN = "Query Plan"


def explained_plan(tree: Any, scan: Callable[[str], str]) -> pa.Table:
    """The plan of a bound query, a line a row: each step, and below it what it takes.

    Args:
        scan: by name of a table in the query, what reading it means.
    """
    outside = {id(table) for table in tables_of(tree)}
    lines = [f"{'   ' * depth}- {text}" for depth, text in _steps(tree, 0, outside, scan)]
    return pa.table({COLUMN: pa.array(lines, pa.string())})


def _steps(node: Any, depth: int, outside: set[int], scan: Callable[[str], str]) -> Iterator[tuple[int, str]]:
    if isinstance(node, exp.Table):
        yield depth, f"TableScan[{scan(node.name)}]" if id(node) in outside else f"WITH[{node.name}]"
        return
    if isinstance(node, exp.Subquery | exp.Lateral):
        yield from _steps(node.this, depth, outside, scan)
        return
    if isinstance(node, exp.Unnest | exp.Values):
        yield depth, f"{type(node).__name__}[{_sql(*node.expressions)}]"
        return
    with_ = node.args.get("with_")
    for cte in with_.expressions if with_ is not None else ():
        yield depth, f"WITH[{cte.alias}]"
        yield from _steps(cte.this, depth + 1, outside, scan)
    for text in _around(node):
        yield depth, text
        depth += 1
    if isinstance(node, exp.SetOperation):
        yield depth, f"{node.key.title()}[{'distinct' if node.args.get('distinct') else 'all'}]"
        yield from _steps(node.left, depth + 1, outside, scan)
        yield from _steps(node.right, depth + 1, outside, scan)
    elif isinstance(node, exp.Select):
        yield from _select(node, depth, outside, scan)


def _around(node: Any) -> list[str]:
    """What happens to the rows of a query last, the last first."""
    order, limit, offset = (node.args.get(name) for name in ("order", "limit", "offset"))
    return [
        *([f"Limit[{_sql(limit.args.get('expression') or limit.args.get('count'))}]"] if limit is not None else []),
        *([f"Offset[{_sql(offset.expression)}]"] if offset is not None else []),
        *([f"Sort[{_sql(*order.expressions)}]"] if order is not None else []),
    ]


def _select(node: Any, depth: int, outside: set[int], scan: Callable[[str], str]) -> Iterator[tuple[int, str]]:
    group, having, where = (node.args.get(name) for name in ("group", "having", "where"))
    steps = [f"Distinct[{_sql(*node.selects)}]"] if node.args.get("distinct") else []
    names = (f"_col{number}" if name in ("", UNNAMED) else name for number, name in enumerate(node.named_selects))
    steps.append(f"Output[{', '.join(names)}]")
    if having is not None:
        steps.append(f"Filter[{_sql(having.this)}]")
    parts = [part for part in (*node.selects, having) if part is not None]
    if any(part.find(exp.Window) for part in parts):
        steps.append("Window")
    if group is not None or any(_of_group(item, node) for part in parts for item in part.find_all(exp.AggFunc)):
        keys = f"by {_sql(*group.expressions)}" if group is not None and group.expressions else "of all rows"
        steps.append(f"Aggregate[{keys}]")
    if where is not None:
        steps.append(f"Filter[{_sql(where.this)}]")
    for text in steps:
        yield depth, text
        depth += 1
    start = node.args.get("from_")
    joins = node.args.get("joins") or []
    for join in joins:
        kind = " ".join(word for word in (join.side, join.kind) if word) or ("INNER" if join.args.get("on") else "CROSS")
        on = join.args.get("on")
        yield depth, f"Join[{kind.title()}{f', {_sql(on)}' if on is not None else ''}]"
    depth += bool(joins)
    for source in [start.this if start is not None else None, *(join.this for join in joins)]:
        if source is not None:
            yield from _steps(source, depth, outside, scan)
    parts = [part for part in (*node.selects, where, having) if part is not None]
    for query in (found for part in parts for found in part.find_all(exp.Subquery, exp.Exists)):
        if query.find_ancestor(exp.Query) is node:
            yield depth, "Subquery"
            yield from _steps(query.this, depth + 1, outside, scan)


def _of_group(aggregate: Any, query: Any) -> bool:
    """Whether it is over the groups of this query: not a window's, and not of a query inside."""
    return aggregate.find_ancestor(exp.Query) is query and aggregate.find_ancestor(exp.Window, exp.Query) is query


def _sql(*nodes: Any) -> str:
    return ", ".join(node.sql(dialect="trino", comments=False) for node in nodes)
