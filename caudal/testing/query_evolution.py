"""What every query engine must read from files that are older than the table's contract."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caudal.contract import Column, Contract
from caudal.errors import ContractError
from caudal.lake.catalog import LakeTable
from caudal.lake.query import Query
from caudal.testing.query_lake import Lake

FORMATS = [("parquet", ""), ("csv", ""), ("csv", "gzip")]
LARGEST = 2**63 - 1

each_format = pytest.mark.parametrize(("format", "compression"), FORMATS)


def _numbers(column: Column) -> st.SearchStrategy[int | Decimal]:
    if column.kind == "int":
        return st.integers(-LARGEST - 1, LARGEST) | st.sampled_from([LARGEST, -LARGEST - 1])
    size = 10**column.precision - 1
    return (st.integers(-size, size) | st.sampled_from([size, -size])).map(lambda n: Decimal(f"{n}E-{column.scale}"))


@st.composite
def widenings(draw: st.DrawFn) -> tuple[Column, Column, list[Any], list[Any]]:
    """A column, a wider one, and values of each."""
    if draw(st.booleans()):
        before = Column("n", "int", nullable=True)
        whole, scale = 19, 0
    else:
        scale = draw(st.integers(0, 6))
        whole = draw(st.integers(1, 18))
        before = Column("n", "decimal", nullable=True, precision=whole + scale, scale=scale)
    scale = draw(st.integers(scale, 38 - whole))
    after = Column("n", "decimal", nullable=True, precision=draw(st.integers(whole + scale, 38)), scale=scale)
    values = [st.lists(st.none() | _numbers(column), min_size=1, max_size=4) for column in (before, after)]
    return before, after, draw(values[0]), draw(values[1])


STEPS = st.lists(st.tuples(st.sampled_from(["rename", "drop", "add"]), st.sampled_from("abcde"), st.sampled_from("abcde")), max_size=8)


class Model:
    """Columns that keep who they are, whatever they are called."""

    def __init__(self) -> None:
        self.shown = {"a": 0, "b": 1}
        self.hidden: dict[str, int] = {}
        self.count = 2
        self.rows: list[dict[int, int]] = []

    def step(self, kind: str, name: str, other: str) -> tuple["Model", Column | None, list[str]]:
        """The model after a step, the column that is renamed by it, and names that are dropped."""
        made = Model()
        made.shown, made.hidden, made.count, made.rows = dict(self.shown), dict(self.hidden), self.count, self.rows
        if kind == "rename" and name in self.shown and other not in self.shown:
            made.shown = {other if shown == name else shown: who for shown, who in self.shown.items()}
            return made, Column(other, "int", nullable=True, old_names=(name,)), []
        if kind == "drop" and name in self.shown and len(self.shown) > 1:
            made.hidden[name] = made.shown.pop(name)
            return made, None, [name]
        if kind == "add" and name not in self.shown:
            made.shown[name] = made.hidden.pop(name, made.count)
            made.count += 1
        return made, None, []


class QueryEvolution:
    """Part of `QuerySuite`."""

    def declared(self, lake: Lake, format: str, compression: str, *columns: Column) -> LakeTable:
        """A new table of events."""
        return lake.declare(Contract(f"old_{len(lake.catalog.tables())}", columns), format, compression)

    @each_format
    @given(case=widenings())
    @settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
    def test_a_wider_type_shows_every_earlier_value_exactly(
        self, lake: Lake, query: Query, format: str, compression: str, case: tuple[Column, Column, list[Any], list[Any]]
    ) -> None:
        before, after, old, new = case
        table = self.declared(lake, format, compression, before)
        lake.add(table, [{"n": value} for value in old])
        table = lake.declare(replace(table.contract, columns=(after,)), format, compression)
        lake.add(table, [{"n": value} for value in new])
        found = query.execute(f"SELECT n FROM {table.name} ORDER BY _position")["n"]
        assert found.type == after.arrow
        assert found.to_pylist() == [*old, *new]

    @each_format
    @given(steps=STEPS)
    @settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
    def test_a_column_keeps_its_values_through_renames_drops_and_names_used_again(
        self, lake: Lake, query: Query, format: str, compression: str, steps: list[tuple[str, str, str]]
    ) -> None:
        model, renamed = Model(), {}
        table = self.declared(lake, format, compression, Column("a", "int", nullable=True), Column("b", "int", nullable=True))
        for n, step in enumerate([("", "", ""), *steps]):
            after, column, drop = model.step(*step)
            renamed = {column.name: column} if column else {}
            columns = tuple(renamed.get(name) or Column(name, "int", nullable=True) for name in after.shown)
            wanted = replace(table, contract=replace(table.contract, columns=columns))
            try:
                lake.catalog.evolve(wanted, drop)
            except ContractError:
                continue  # it would be ambiguous, and nothing has changed
            model, table = after, wanted
            row = {name: 100 * n + who for name, who in model.shown.items()}
            lake.add(table, [row])
            model.rows.append({model.shown[name]: value for name, value in row.items()})
        found = query.execute(f"SELECT {', '.join(model.shown)} FROM {table.name} ORDER BY _position").to_pylist()
        assert found == [{name: row.get(who) for name, who in model.shown.items()} for row in model.rows]

    @each_format
    def test_bytes_and_keys_beside_a_renamed_column_are_as_they_were_even_from_a_writer_that_has_not_heard_of_it(
        self, lake: Lake, query: Query, format: str, compression: str
    ) -> None:
        columns = (Column("id", "string"), Column("raw", "bytes", nullable=True), Column("qty", "int"))
        table = lake.declare(Contract("sale", columns, ("id",)), format, compression)
        lake.add(table, [{"id": "x", "raw": b"\x00,", "qty": 1}, {"id": "y", "raw": None, "qty": 2}])
        blob, quantity = replace(columns[1], name="blob", old_names=("raw",)), replace(columns[2], name="quantity", old_names=("qty",))
        renamed = replace(table, contract=replace(table.contract, columns=(columns[0], blob, quantity)))
        lake.catalog.evolve(renamed)
        lake.add(renamed, [{"id": "x", "blob": b"new", "quantity": 3}])
        lake.add(table, [{"id": "z", "raw": b"late", "qty": 4}])
        assert query.execute("SELECT * FROM sale ORDER BY id").to_pylist() == [
            {"id": "x", "blob": b"new", "quantity": 3}, {"id": "y", "blob": None, "quantity": 2},
            {"id": "z", "blob": b"late", "quantity": 4},
        ]
        assert query.execute("SELECT blob, quantity FROM sale_history ORDER BY _position").to_pylist()[0] == {
            "blob": b"\x00,", "quantity": 1,
        }

    @each_format
    def test_g05_objects_of_different_columns_are_one_table(
        self, lake: Lake, query: Query, format: str, compression: str
    ) -> None:
        a, b, c, d = (Column(name, "int", nullable=True) for name in "abcd")
        table = self.declared(lake, format, compression, a, b)
        lake.add(table, [{"a": 1, "b": 2}])
        table = lake.declare(replace(table.contract, columns=(a, b, c, d)), format, compression)
        lake.add(table, [{"c": 3, "d": 4}])
        assert query.execute(f"SELECT a, b, c, d FROM {table.name} ORDER BY _position").to_pylist() == [
            {"a": 1, "b": 2, "c": None, "d": None}, {"a": None, "b": None, "c": 3, "d": 4},
        ]

    @each_format
    def test_cs06_a_column_added_in_the_middle_shifts_no_earlier_row(
        self, lake: Lake, query: Query, format: str, compression: str
    ) -> None:
        first, last, channel = Column("customer", "string"), Column("product", "string"), Column("channel", "string", nullable=True)
        table = self.declared(lake, format, compression, first, last)
        lake.add(table, [{"customer": "ann", "product": "tea"}])
        table = lake.declare(replace(table.contract, columns=(first, channel, last)), format, compression)
        lake.add(table, [{"customer": "bob", "channel": "web", "product": "jam"}])
        assert query.execute(f"SELECT customer, channel, product FROM {table.name} ORDER BY _position").to_pylist() == [
            {"customer": "ann", "channel": None, "product": "tea"}, {"customer": "bob", "channel": "web", "product": "jam"},
        ]
