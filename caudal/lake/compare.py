"""What differs between the rows that two tables of the lake have of the same records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from caudal.contract import Column
from caudal.lake.catalog import LakeTable, Snapshot
from caudal.lake.query import Query
from caudal.records import Positions


@dataclass
class Example:
    """The rows of one record that differ."""

    shard: int
    position: int
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]


@dataclass
class Comparison:
    """Rows of the same records: what one table has and the other has not."""

    until: Positions
    """Records below these positions were compared."""
    records: int = 0
    """Records whose rows differ."""
    added: int = 0
    """Rows more than before, and fewer, and other ones in the place of as many."""
    removed: int = 0
    changed: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    """Column to how many rows have another value there; of records that had one row and have one row."""
    columns_added: list[str] = field(default_factory=list)
    columns_removed: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.records or self.columns_added or self.columns_removed)


def compare(query: Query, before: Snapshot, after: Snapshot, examples: int = 5) -> Comparison:
    """Compare the rows of the records that both snapshots have, by the columns that both have."""
    old, new = before.table, after.table
    had = {column.name: column for column in old.contract.columns}
    common = [c.name for c in new.contract.columns if c.name in had and _comparable(c, had[c.name])]
    found = Comparison(
        {shard: min(offset, after.positions.get(shard, 0)) for shard, offset in before.positions.items()},
        columns_added=[column.name for column in new.contract.columns if column.name not in common],
        columns_removed=[name for name in had if name not in common],
    )
    if not any(found.until.values()):
        return found
    work = _Work(query, before, after, common, found.until)
    counts = work.ask(
        "SELECT count(*) AS records, coalesce(sum(more - least(more, less)), 0) AS added,"
        " coalesce(sum(less - least(more, less)), 0) AS removed, coalesce(sum(least(more, less)), 0) AS changed FROM r"
    )
    for name, value in counts.to_pylist()[0].items():
        setattr(found, name, int(value))
    if found.changed:
        found.columns = work.by_column()
    if found.records and examples:
        found.examples = work.examples(examples)
    return found


class _Work:
    """The queries: `d` is rows with how often one table has them more than the other, `r` records with how many."""

    def __init__(self, query: Query, before: Snapshot, after: Snapshot, names: Sequence[str], until: Positions) -> None:
        self._query = query
        self._versions = {before.table.name: before.version, after.table.name: after.version}
        self._names = names
        below = " OR ".join(f"(_shard = {shard} AND _position < {offset})" for shard, offset in until.items())
        columns = "".join(f", {_quoted(name)}" for name in self._names)
        sides = " UNION ALL ".join(
            f"SELECT _shard, _position{_values(names, mine, other)}, {side} AS _side"
            f" FROM {_history(mine)} WHERE {below}"
            for mine, other, side in ((after.table, before.table, 1), (before.table, after.table, -1))
        )
        self._with = (
            f"WITH d AS (SELECT _shard, _position{columns}, sum(_side) AS _n FROM ({sides}) AS both_sides"
            f" GROUP BY _shard, _position{columns} HAVING sum(_side) <> 0),"
            " r AS (SELECT _shard, _position, sum(CASE WHEN _n > 0 THEN _n ELSE 0 END) AS more,"
            " sum(CASE WHEN _n < 0 THEN -_n ELSE 0 END) AS less FROM d GROUP BY _shard, _position) "
        )

    def ask(self, sql: str) -> pa.Table:
        return self._query.execute(self._with + sql, versions=self._versions)

    def by_column(self) -> dict[str, int]:
        counts = ", ".join(
            f"sum(CASE WHEN a.{_quoted(name)} IS DISTINCT FROM b.{_quoted(name)} THEN 1 ELSE 0 END) AS c{n}"
            for n, name in enumerate(self._names)
        )
        row = self.ask(f"SELECT {counts} FROM d AS a JOIN d AS b ON a._shard = b._shard AND a._position = b._position"
                       " JOIN r ON r._shard = a._shard AND r._position = a._position"
                       " WHERE a._n = 1 AND b._n = -1 AND r.more = 1 AND r.less = 1").to_pylist()[0]
        return {name: int(row[f"c{n}"]) for n, name in enumerate(self._names) if row[f"c{n}"]}

    def examples(self, limit: int) -> list[Example]:
        columns = "".join(f", d.{_quoted(name)} AS c{n}" for n, name in enumerate(self._names))
        rows = self.ask(f"SELECT d._shard AS s, d._position AS p, d._n AS _n{columns} FROM d JOIN"
                        f" (SELECT _shard, _position FROM r ORDER BY _shard, _position LIMIT {limit}) AS f"
                        " ON d._shard = f._shard AND d._position = f._position ORDER BY d._shard, d._position, d._n")
        found: dict[tuple[int, int], Example] = {}
        for row in rows.to_pylist():
            one = found.setdefault((row["s"], row["p"]), Example(row["s"], row["p"], [], []))
            values = {name: row[f"c{n}"] for n, name in enumerate(self._names)}
            (one.after if row["_n"] > 0 else one.before).extend([values] * abs(int(row["_n"])))
        return list(found.values())


def _history(table: LakeTable) -> str:
    return _quoted(f"{table.name}_history" if table.contract.key else table.name)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _values(names: Sequence[str], mine: LakeTable, other: LakeTable) -> str:
    """The columns of one side; where the other has another type, as one that can hold both."""
    return "".join(f", {_value(mine.contract.column(name), other.contract.column(name))}" for name in names)


def _value(mine: Column, other: Column) -> str:
    name = _quoted(mine.name)
    if mine.arrow == other.arrow:
        return name
    if {mine.kind, other.kind} <= {"int", "decimal"}:
        whole, scale = (max(digits) for digits in zip(_digits(mine), _digits(other), strict=True))
        if whole + scale <= 38:
            return f"CAST({name} AS decimal(38, {scale})) AS {name}"
    numbers = {mine.kind, other.kind} <= {"int", "decimal", "float"}
    return f"CAST({name} AS {'double' if numbers else 'varchar'}) AS {name}"


def _digits(column: Column) -> tuple[int, int]:
    """Digits before and after the point."""
    return (column.precision - column.scale, column.scale) if column.kind == "decimal" else (19, 0)


def _comparable(mine: Column, other: Column) -> bool:
    return (mine.kind == "bytes") is (other.kind == "bytes")
