"""What every query engine must read from files as it was written: one table of any rows, and the known traps of CSV."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caudal.contract import Column, Contract
from caudal.lake.catalog import LakeTable
from caudal.lake.query import Query
from caudal.testing.query_lake import EVERY_KIND, Lake

SYSTEM_HEADER = "_op,_reason,_event_time,_event_id,_shard,_position"

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", "NA", "NULL", "null", "\\N", "007", '"', '""', ",", "\n", "\r", "\r\n", "\\", '\\"', "C:\\promo\\", " a ", "#", "'", "\ufeff", "=1+1", "true", "1e5"]
)

ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in {
    "text": _TEXTS, "whole": st.integers(-(2**63), 2**63 - 1),
    "exact": st.decimals(-(10**31), 10**31, places=6, allow_nan=False).filter(lambda d: abs(d) < 10**31),
    "float": st.floats(width=64), "truth": st.booleans(), "day": st.dates(date(1, 1, 1)),
    "moment": st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC)), "raw": st.binary(max_size=8), "nested": st.just('{"a": [1, null, "x,\\""]}'),
}.items()}), max_size=6)


class QueryFormats:
    """Part of `QuerySuite`."""

    @pytest.mark.parametrize(("format", "compression"), [("parquet", ""), ("csv", ""), ("csv", "gzip"), ("csv", "zstd")])
    @given(rows=ROWS)
    @settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
    def test_rows_come_back_as_they_went_in(self, lake: Lake, query: Query, format: str, compression: str, rows: list[dict[str, Any]]) -> None:
        name = f"every_kind_{len(lake.catalog.tables())}"
        contract = Contract(name, EVERY_KIND.columns)
        lake.add(lake.declare(contract, format, compression), rows)
        names = ", ".join(column.name for column in contract.columns)
        found = query.execute(f"SELECT {names} FROM {name} ORDER BY _position")
        assert found.schema.types == contract.schema.types
        assert str(found.to_pylist()) == str(pa.Table.from_pylist(rows, contract.schema).to_pylist())  # as text: nan is not nan

    def csv(self, lake: Lake, *bodies: bytes, **kinds: str) -> LakeTable:
        """A table `t` of CSV files as given, but that each has the system columns."""
        columns = [Column(name, kind, nullable=True, precision=12, scale=2) for name, kind in kinds.items()]  # type: ignore[arg-type]
        table = lake.declare(Contract("t", tuple(columns)), "csv")
        for body in bodies:
            lines = body.count(b"\n") - 1
            lake.add_bytes(table, body, lines)
        return table

    @staticmethod
    def with_system(body: str) -> bytes:
        """The lines with the system columns at their ends."""
        first, *rest = body.splitlines()
        return "".join([f"{first},{SYSTEM_HEADER}\n", *(f"{line},event,,2026-01-01T00:00:00.000000Z,e,0,{n}\n" for n, line in enumerate(rest))]).encode()

    @pytest.mark.parametrize("text", ['line1\nline2, "q"', "C:\\promo\\", "a\r\nb", "\\", '"', ","], ids=ascii)
    def test_c01_c02_line_breaks_quotes_and_backslashes_come_back(self, lake: Lake, query: Query, text: str) -> None:
        table = lake.declare(Contract("t", (Column("id", "int"), Column("note", "string"), Column("quantity", "int"))), "csv")
        lake.add(table, [{"id": 1, "note": text, "quantity": 9}, {"id": 2, "note": "b", "quantity": 8}])
        rows = query.execute("SELECT id, note, quantity FROM t ORDER BY id").to_pylist()
        assert rows == [{"id": 1, "note": text, "quantity": 9}, {"id": 2, "note": "b", "quantity": 8}]

    def test_c04_a_header_line_is_no_row(self, lake: Lake, query: Query) -> None:
        self.csv(lake, self.with_system("id,qty\n1,2\n"), self.with_system("id,qty\n3,4\n"), id="string", qty="string")
        assert query.execute("SELECT id FROM t ORDER BY id")["id"].to_pylist() == ["1", "3"]

    def test_c05_columns_are_bound_by_header(self, lake: Lake, query: Query) -> None:
        self.csv(lake, self.with_system("id,name,qty\n1,a,2\n"), self.with_system("id,qty,name\n2,5,b\n"), id="int", name="string", qty="int")
        rows = query.execute("SELECT id, name, qty FROM t ORDER BY id").to_pylist()
        assert rows == [{"id": 1, "name": "a", "qty": 2}, {"id": 2, "name": "b", "qty": 5}]

    def test_a_column_that_the_contract_does_not_know_is_left_out(self, lake: Lake, query: Query) -> None:
        self.csv(lake, self.with_system("id,old\n1,x\n"), id="int")
        assert query.execute("SELECT id FROM t").to_pylist() == [{"id": 1}]

    def test_c10_na_is_namibia(self, lake: Lake, query: Query) -> None:
        self.csv(lake, self.with_system("id,country\nc1,NA\nc2,\nc3,\"\"\n"), id="string", country="string")
        assert query.execute("SELECT country FROM t ORDER BY id")["country"].to_pylist() == ["NA", None, ""]

    def test_c12_a_null_among_integers_leaves_them_integers(self, lake: Lake, query: Query) -> None:
        self.csv(lake, self.with_system("id,qty\n1,5\n2,\n"), id="int", qty="int")
        found = query.execute("SELECT qty FROM t ORDER BY id")
        assert (found.schema.types, found["qty"].to_pylist()) == ([pa.int64()], [5, None])

    def test_c13_a_byte_order_mark_belongs_to_no_name(self, lake: Lake, query: Query) -> None:
        self.csv(lake, b"\xef\xbb\xbf" + self.with_system("id,n\n1,a\n"), id="string", n="string")
        assert query.execute("SELECT id, n FROM t").to_pylist() == [{"id": "1", "n": "a"}]

    def test_c16_a_header_among_text_is_a_header(self, lake: Lake, query: Query) -> None:
        self.csv(lake, self.with_system("name,city\nann,rome\n"), name="string", city="string")
        assert query.execute("SELECT name, city FROM t").to_pylist() == [{"name": "ann", "city": "rome"}]

    def test_c21_nan_is_not_null(self, lake: Lake, query: Query) -> None:
        self.csv(lake, self.with_system("id,x\n1,1.5\n2,NaN\n3,\n"), id="int", x="float")
        assert str(query.execute("SELECT x FROM t ORDER BY id")["x"].to_pylist()) == "[1.5, nan, None]"

    def test_leading_zeros_and_long_lines_stay(self, lake: Lake, query: Query) -> None:
        long = "x" * 3_000_000
        self.csv(lake, self.with_system(f"id,note\n007,{long}\n008,b\n"), id="string", note="string")
        assert query.execute("SELECT id, length(note) AS n FROM t ORDER BY id").to_pylist() == [{"id": "007", "n": 3_000_000}, {"id": "008", "n": 1}]

    def test_g04_the_contract_gives_the_type_whatever_a_file_holds(self, lake: Lake, query: Query) -> None:
        table = lake.declare(Contract("t", (Column("cost", "decimal", nullable=True, precision=12, scale=2),)))
        different: tuple[list[Any], ...] = ([1, 2], [1.5], [None])
        for n, values in enumerate(different):
            system = {"_op": ["event"] * len(values), "_reason": pa.nulls(len(values), pa.string()), "_event_id": ["e"] * len(values),
                      "_event_time": pa.array([0] * len(values), pa.timestamp("us", "UTC")),
                      "_shard": pa.array([0] * len(values), pa.int32()), "_position": [n * 10 + i for i in range(len(values))]}
            sink = pa.BufferOutputStream()
            pq.write_table(pa.table({"cost": values, **system}), sink)
            lake.add_bytes(table, sink.getvalue().to_pybytes(), len(values))
        found = query.execute("SELECT cost FROM t ORDER BY _position")
        assert found.schema.types == [pa.decimal128(12, 2)]
        assert found["cost"].to_pylist() == [Decimal("1.00"), Decimal("2.00"), Decimal("1.50"), None]

    def test_g08_every_file_of_a_commit_is_seen(self, lake: Lake, query: Query) -> None:
        table = lake.declare(EVERY_KIND, "csv")
        for n in range(3):
            lake.add(table, [{"whole": n}])
        assert query.execute("SELECT sum(whole) AS total FROM every_kind").to_pylist() == [{"total": 3}]
