"""What every query engine must do."""

from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from caudal.contract import Column
from caudal.errors import QueryError
from caudal.lake.catalog import Catalog, LakeTable, open_catalog
from caudal.lake.files import Files, open_files
from caudal.lake.query import Query
from caudal.testing.query_answers import ANSWERS, ONE
from caudal.testing.query_evolution import QueryEvolution
from caudal.testing.query_foreign import QueryForeign
from caudal.testing.query_formats import QueryFormats
from caudal.testing.query_functions import FUNCTIONS, REFUSED
from caudal.testing.query_lake import EVERY_KIND, ORDER, VIEW, Lake
from caudal.testing.query_statements import QueryStatements
from caudal.testing.query_types import MISMATCHES, NOT_ATHENAS
from caudal.testing.query_versions import QueryVersions

FORBIDDEN = [
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM \"read_csv\"('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"', 'SELECT * FROM "file.csv"', "SELECT * FROM 's3://bucket/key.parquet'", "SELECT read_text('/etc/passwd')",
    "WITH x AS (SELECT * FROM read_blob('/etc/*')) SELECT * FROM x", "SELECT (SELECT max(content) FROM read_text('/etc/passwd'))",
    "SELECT * FROM glob('/etc/*')", "SELECT getenv('HOME')", "SELECT current_setting('temp_directory')", "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()", "SELECT * FROM pragma_version()", "SELECT * FROM sqlite_master", "SELECT * FROM information_schema.views", "SELECT * FROM other.information_schema.tables",
    "SELECT * FROM parquet_metadata('x')", "SELECT * FROM sniff_csv('x')", "SELECT * FROM query('SELECT 1')", "SELECT * FROM query_table('x')",
    "SELECT * FROM range(3)", "SELECT version()", "SELECT current_user", "SELECT nextval('x')", "SELECT error('x')", "SELECT @@x", "SELECT ?", "SELECT $1",
    "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE shop_order", "INSERT INTO shop_order VALUES ('a', 1, '')", "UPDATE shop_order SET id = ''",
    "DELETE FROM shop_order", "DROP TABLE shop_order", "CREATE TABLE x AS SELECT 1", "CREATE VIEW x AS SELECT 1", "ALTER TABLE shop_order ADD COLUMN x int",
    "COPY (SELECT 1) TO '/tmp/x'", "COPY shop_order FROM '/etc/passwd'", "ATTACH '/tmp/x.db'", "DETACH x", "INSTALL httpfs", "LOAD httpfs",
    "SET threads = 1", "RESET threads", "PRAGMA database_list", "CALL pragma_version()", "EXPORT DATABASE '/tmp/x'", "IMPORT DATABASE '/tmp/x'", "VACUUM",
    "EXPLAIN SELECT * FROM read_text('/etc/passwd')", "EXPLAIN ANALYZE SELECT 1", "DESCRIBE '/etc/passwd'", 'DESCRIBE "/etc/passwd"', "DESCRIBE SELECT 1",
    "SHOW ALL TABLES", "SHOW TABLES FROM memory", "SHOW TABLES FROM other", "SHOW DATABASES IN other", "SHOW CREATE TABLE \"../x\"", "SHOW FUNCTIONS", "SHOW SESSION",
    "SHOW CREATE TABLE memory.main.shop_order_history", "SHOW PARTITIONS information_schema.tables", "SELECT \"$path\" FROM \"/etc/passwd\"",
    "SELECT \"$path\" FROM shop_order", "SELECT \"$partition\" FROM shop_order_history", "SUMMARIZE shop_order", "USE memory", "BEGIN", "CHECKPOINT", "PREPARE x AS SELECT 1",
    "PREPARE x FROM DROP TABLE shop_order", "PREPARE x FROM EXECUTE x", "EXECUTE x", "EXECUTE x USING read_text('/etc/passwd')", "DEALLOCATE x", "DEALLOCATE PREPARE x",
    "CREATE SECRET s (TYPE s3)", "CREATE MACRO m() AS 1", "CREATE TRIGGER t", "SET VARIABLE x = 1", "COMMENT ON TABLE shop_order IS 'x'", "FORCE CHECKPOINT", "ANALYZE",
    "UPDATE EXTENSIONS", "MERGE INTO shop_order USING shop_order ON true", "SHOW TABLES; DROP TABLE shop_order", "EXPLAIN SELECT 1; SELECT 2", "UNLOAD (SELECT 1) TO 's3://x/'", "FROM shop_order", "PIVOT shop_order ON id USING sum(quantity)", "SELECT * INTO x FROM shop_order",
    "WITH x AS (INSERT INTO shop_order VALUES ('a', 1, '')) SELECT 1", "WITH x AS (DELETE FROM shop_order RETURNING id) SELECT * FROM x",
    "SELECT * FROM shop_order FOR UPDATE", "SELECT * EXCLUDE (id) FROM shop_order", "SELECT COLUMNS(*) FROM shop_order", "", " ", "-- nothing", "/*",
    "'", "SELECT 'x", "(", "SELECT * FROM \"lake:shop_order\"", "SELECT * FROM memory.main.shop_order", "SELECT * FROM shop_order.shop_order",
    "SELECT 1 FROM shop_order, LATERAL (SELECT * FROM read_text('/etc/passwd'))", "VALUES ((SELECT content FROM read_text('/etc/passwd')))",
]
"""What no query may be."""


class QuerySuite(QueryFormats, QueryForeign, QueryEvolution, QueryVersions, QueryStatements):
    """Subclass as `TestXQuery`, return a fresh engine, and every promise is checked."""

    scheme: str

    @abstractmethod
    def fresh(self, catalog: Catalog, files: Files) -> Query: ...

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls) -> Iterator[Query]:
        """An engine over a small lake that tests only read."""
        catalog, files = open_catalog("memory:", "shop"), open_files("memory:")
        cls.orders(Lake(catalog, files))
        engine = cls().fresh(catalog, files)
        yield engine
        engine.close()

    @pytest.fixture(params=["memory", "file"])
    def lake(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
        """An empty lake: one whose files the engine reads itself, and one whose files it cannot reach."""
        urls = {"memory": ("memory:", "memory:"), "file": (f"sqlite:{tmp_path}/catalog.db", f"file:{tmp_path}/lake")}[request.param]
        catalog = open_catalog(urls[0], "shop")
        yield Lake(catalog, open_files(urls[1]))
        catalog.close()

    @pytest.fixture
    def query(self, lake: Lake) -> Iterator[Query]:
        query = self.fresh(lake.catalog, lake.files)
        yield query
        query.close()

    @staticmethod
    def orders(lake: Lake) -> LakeTable:
        """Declare and fill a table of two orders."""
        table = lake.declare(ORDER)
        lake.add(table, [{"id": "o1", "quantity": 1, "note": "x"}, {"id": "o2", "quantity": 9, "note": "y"}])
        return table

    @pytest.mark.parametrize(("sql", "answer"), [*ANSWERS, *FUNCTIONS], ids=[sql for sql, _ in [*ANSWERS, *FUNCTIONS]])
    def test_it_answers_as_athena_does(self, engine: Query, sql: str, answer: Any) -> None:
        (value,) = engine.execute(f"SELECT {sql} FROM one", tables={"one": ONE}).column(0).to_pylist()
        assert value == answer
        assert type(value) is type(answer)

    @pytest.mark.parametrize("sql", REFUSED)
    def test_a_function_of_athenas_that_is_not_here_is_refused_as_such(self, engine: Query, sql: str) -> None:
        with pytest.raises(QueryError, match="NOT_SUPPORTED"):
            engine.execute(f"SELECT {sql} FROM one", tables={"one": ONE})

    @pytest.mark.parametrize(("sql", "one", "other"), MISMATCHES)
    def test_types_that_athena_does_not_put_together_are_refused_by_name(self, engine: Query, sql: str, one: str, other: str) -> None:
        with pytest.raises(QueryError, match="TYPE_MISMATCH") as caught:
            engine.execute(f"SELECT {sql}" if " FROM " in sql else f"SELECT {sql} FROM one", tables={"one": ONE})
        assert one in str(caught.value) and other in str(caught.value)

    @pytest.mark.parametrize(("sql", "hint"), NOT_ATHENAS)
    def test_what_other_engines_take_and_athena_does_not_is_refused(self, engine: Query, sql: str, hint: str) -> None:
        with pytest.raises(QueryError) as caught:
            engine.execute(sql)
        assert hint in caught.value.hint

    @pytest.mark.parametrize("sql", FORBIDDEN)
    def test_it_only_reads_and_only_the_lake(self, engine: Query, sql: str) -> None:
        with pytest.raises(QueryError):
            engine.execute(sql)
        assert engine.execute("SELECT count(*) FROM shop_order").column(0).to_pylist() == [2]

    def test_a_result_can_be_read_in_parts(self, lake: Lake, query: Query) -> None:
        lake.declare(ORDER)
        assert [len(part) for part in query.stream("SELECT * FROM shop_order")] == [0]
        numbers = "SELECT * FROM UNNEST(sequence(0, 99)) AS t(x)"
        sql = f"SELECT a.x * 100 + b.x AS n FROM ({numbers}) a CROSS JOIN ({numbers}) b ORDER BY n"
        parts = list(query.stream(sql, rows=2048))
        assert len(parts) > 1 and all(part.schema == query.execute(sql).schema for part in parts)
        assert pa.concat_tables(parts)["n"].to_pylist() == list(range(10_000))
        for wrong in ("SELECT * FROM read_text('/etc/passwd')", f"SELECT CAST(IF(n = 9999, 'x', '1') AS bigint) FROM ({sql}) t"):
            with pytest.raises(QueryError):
                list(query.stream(wrong, rows=2048))
        assert query.execute("SELECT 1 AS one").to_pylist() == [{"one": 1}]

    # what a table shows

    @pytest.mark.parametrize("format", ["parquet", "csv"])
    def test_a01_the_last_change_of_a_key_counts_with_its_nulls_and_deleted_keys_go(self, lake: Lake, query: Query, format: str) -> None:
        table = lake.declare(ORDER, format)
        lake.add(table, [{"id": "o1", "quantity": 1, "note": "x"}, {"id": "o2", "quantity": 9, "note": "y"}])
        lake.add(table, [{"id": "o1", "quantity": 2, "note": None}, {"id": "o2", "quantity": 9, "note": "y", "_op": "delete"}])
        assert query.execute("SELECT * FROM shop_order").to_pylist() == [{"id": "o1", "quantity": 2, "note": None}]

    def test_l04_a_change_to_null_is_a_change(self, lake: Lake, query: Query) -> None:
        table = lake.declare(ORDER)
        for note in ("X", None):
            lake.add(table, [{"id": "o1", "quantity": 1, "note": note}])
        assert query.execute("SELECT note FROM shop_order").to_pylist() == [{"note": None}]

    def test_a_row_of_an_older_position_that_arrives_late_does_not_win(self, lake: Lake, query: Query) -> None:
        table = lake.declare(ORDER)
        lake.add(table, [{"id": "o1", "quantity": 2, "_position": 5}])
        lake.add(table, [{"id": "o1", "quantity": 1, "_position": 1}])
        assert query.execute("SELECT quantity FROM shop_order").to_pylist() == [{"quantity": 2}]

    def test_of_two_rows_of_one_record_and_key_one_is_shown(self, lake: Lake, query: Query) -> None:
        lake.add(lake.declare(ORDER), [{"id": "o1", "quantity": n, "_position": 0} for n in (1, 2)])
        assert query.execute("SELECT count(*) FROM shop_order").column(0).to_pylist() == [1]

    def test_one_record_may_give_rows_of_several_keys(self, lake: Lake, query: Query) -> None:
        table = lake.declare(ORDER)
        lake.add(table, [{"id": id, "quantity": 1, "_position": 0} for id in ("o1", "o2")])
        lake.add(table, [{"id": "o1", "quantity": 2, "_position": 1}])
        assert query.execute("SELECT id, quantity FROM shop_order ORDER BY id").to_pylist() == [
            {"id": "o1", "quantity": 2}, {"id": "o2", "quantity": 1}
        ]

    def test_history_shows_every_change_with_the_system_columns(self, lake: Lake, query: Query) -> None:
        table = self.orders(lake)
        lake.add(table, [{"id": "o1", "quantity": 1, "note": "x", "_op": "delete", "_reason": "ttl"}])
        rows = query.execute("SELECT * FROM shop_order_history ORDER BY _position")
        assert rows.schema.names == ORDER.row_schema.names
        assert rows.schema.types == ORDER.row_schema.types
        assert rows.select(["_op", "_reason"]).to_pylist()[1:] == [{"_op": "put", "_reason": None}, {"_op": "delete", "_reason": "ttl"}]

    def test_events_show_under_both_names(self, lake: Lake, query: Query) -> None:
        table = lake.declare(VIEW)
        lake.add(table, [{"page": "/", "visitor": None}] * 2)
        for name in ("page_view", "page_view_history"):
            rows = query.execute(f"SELECT * FROM {name}")
            assert rows.schema.names == VIEW.row_schema.names
            assert rows["_op"].to_pylist() == ["event", "event"]

    @pytest.mark.parametrize("format", ["parquet", "csv"])
    def test_a_table_without_rows_has_its_columns_and_types(self, lake: Lake, query: Query, format: str) -> None:
        table = lake.declare(EVERY_KIND, format)
        for _ in range(2):
            rows = query.execute("SELECT * FROM every_kind")
            assert (len(rows), rows.schema.names, rows.schema.types) == (0, EVERY_KIND.row_schema.names, EVERY_KIND.row_schema.types)
            lake.add(table, [])

    @pytest.mark.parametrize("format", ["parquet", "csv"])
    def test_rows_written_before_a_column_show_null(self, lake: Lake, query: Query, format: str) -> None:
        lake.add(lake.declare(ORDER, format), [{"id": "o1", "quantity": 1}])
        wider = replace(ORDER, columns=(*ORDER.columns, Column("price", "decimal", nullable=True, precision=9, scale=2)))
        table = lake.declare(wider, format)
        assert query.execute("SELECT id, price FROM shop_order").to_pylist() == [{"id": "o1", "price": None}]
        lake.add(table, [{"id": "o2", "quantity": 1, "price": 2}])
        rows = query.execute("SELECT price FROM shop_order ORDER BY id")
        assert [str(price) for price in rows["price"].to_pylist()] == ["None", "2.00"]
        assert rows.schema.types == [pa.decimal128(9, 2)]

    def test_a_version_fixes_a_table_and_its_history(self, lake: Lake, query: Query) -> None:
        table = self.orders(lake)
        version = lake.catalog.snapshot("shop_order").version
        lake.add(table, [{"id": "o1", "quantity": 5}])
        sql = "SELECT (SELECT sum(quantity) FROM shop_order), (SELECT count(*) FROM shop_order_history)"
        assert [c.to_pylist() for c in query.execute(sql, versions={"shop_order": version}).columns] == [[10], [2]]
        assert [c.to_pylist() for c in query.execute(sql).columns] == [[14], [3]]
        assert query.execute("SELECT * FROM shop_order", versions={"shop_order": 0}).num_rows == 0
        with pytest.raises(QueryError, match="no version 9"):
            query.execute(sql, versions={"shop_order": 9})
        with pytest.raises(QueryError, match="a version of shop_ordr is given, and the query does not read it") as caught:
            query.execute(sql, versions={"shop_ordr": version})
        assert caught.value.hint == "did you mean shop_order?"

    def test_a_given_table_stands_in_for_the_lakes(self, lake: Lake, query: Query) -> None:
        self.orders(lake)
        for n in (1, 2):
            given = {"shop_order": pa.table({"id": [str(n)], "extra": [n]})}
            assert query.execute("SELECT id, extra FROM Shop_Order", tables=given).to_pylist() == [{"id": str(n), "extra": n}]
        assert query.execute("SELECT sum(quantity) FROM shop_order").column(0).to_pylist() == [10]
        joined = "SELECT count(*) FROM shop_order a JOIN shop_order_history b ON a.id = b.id"
        assert query.execute(joined, tables={"shop_order": pa.table({"id": ["o1"]})}).column(0).to_pylist() == [1]

    def test_names_are_the_same_in_any_case(self, lake: Lake, query: Query) -> None:
        self.orders(lake)
        rows = query.execute('SELECT ID, "Quantity" AS "How Many" FROM SHOP_ORDER WHERE shop_order.Id = \'o1\'')
        assert rows.to_pylist() == [{"id": "o1", "How Many": 1}]

    def test_columns_without_a_name_are_numbered_and_names_may_repeat(self, query: Query) -> None:
        assert query.execute("SELECT 1, 2 AS a, count(*), 3 AS a").schema.names == ["_col0", "a", "_col2", "a"]
        assert query.execute("VALUES (1, 'a'), (2, 'b')").to_pydict() == {"_col0": [1, 2], "_col1": ["a", "b"]}

    def test_a08_a_local_day_is_not_a_utc_day(self, lake: Lake, query: Query) -> None:
        moments = [datetime(2026, 3, 28, 22, 59, tzinfo=UTC), datetime(2026, 3, 28, 23, 0, tzinfo=UTC),
                   datetime(2026, 3, 29, 21, 59, tzinfo=UTC), datetime(2026, 3, 29, 22, 0, tzinfo=UTC)]
        table = lake.declare(EVERY_KIND)
        lake.add(table, [{"moment": moment} for moment in moments])
        sql = "SELECT moment FROM every_kind WHERE date(moment AT TIME ZONE 'Europe/Berlin') = date '2026-03-29' ORDER BY 1"
        assert query.execute(sql)["moment"].to_pylist() == moments[1:3]
        hours = "date_diff('hour', timestamp '2026-03-29 00:00:00 Europe/Berlin', timestamp '2026-03-30 00:00:00 Europe/Berlin')"
        assert query.execute(f"SELECT {hours}").column(0).to_pylist() == [23]

    def test_queries_of_many_threads_do_not_meet(self, lake: Lake, query: Query) -> None:
        self.orders(lake)

        def ask(n: int) -> list[Any]:
            given = {"mine": pa.table({"n": [n]})}
            sql = "SELECT n, (SELECT sum(quantity) FROM shop_order) AS total FROM mine"
            rows: list[Any] = query.execute(sql, tables=given).to_pylist()
            return rows

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(100))) == [[{"n": n, "total": 10}] for n in range(100)]

    # errors

    @pytest.mark.parametrize(("sql", "message", "hint", "place"), [
        ("SELECT id,\n       quantty\nFROM shop_order", "column quantty is not in shop_order", "did you mean quantity", (2, 8)),
        ("SELECT o.nte FROM shop_order o", "column nte is not in shop_order", "did you mean note", (1, 10)),
        ("SELECT id FROM shop_ordr", "no table shop_ordr", "did you mean shop_order", (1, 16)),
        ("SELECT x.id FROM shop_order", "no table x", "shop_order", (1, 10)),
        ("SELECT id FROM shop_order a JOIN shop_order b ON a.id = b.id", "column id is in a and in b", "a.id", (1, 8)),
        ("SELECT lenght(id) FROM shop_order", "function lenght", "did you mean length", (1, 8)),
        ("SELECT id FORM shop_order", "syntax error", "", (1, 16)),
        ("SELECT id FROM shop_order WHERE quantity = '5'", "TYPE_MISMATCH", "cast", (1, 33)),
        ("SELECT id q FROM shop_order WHERE q = 'x'", "column q is not in shop_order", "", (1, 35)),
        ("SELECT id, count(*) FROM shop_order", "EXPRESSION_NOT_AGGREGATE: id", "GROUP BY", (1, 8)),
        ("SELECT quantity / 0 FROM shop_order", "DIVISION_BY_ZERO", "try", (0, 0)),
        ("SELECT quantity % 0 FROM shop_order", "DIVISION_BY_ZERO", "try", (0, 0)),
        ("SELECT 1.5 / (quantity - 1) FROM shop_order", "DIVISION_BY_ZERO", "try", (0, 0)),
        ("SELECT cast(note AS integer) FROM shop_order", "INVALID_CAST_ARGUMENT", "try_cast", (0, 0)),
        ("SELECT cast('1.5' AS integer)", "INVALID_CAST_ARGUMENT", "try_cast", (0, 0)),
        ("SELECT 9223372036854775807 + quantity FROM shop_order", "NUMERIC_VALUE_OUT_OF_RANGE", "", (0, 0)),
        ("SELECT array[1, 2][quantity + 2] FROM shop_order", "INVALID_FUNCTION_ARGUMENT: an array has no such subscript", "element_at", (0, 0)),
        ("SELECT array[1, 2][-1]", "INVALID_FUNCTION_ARGUMENT: an array has no such subscript", "element_at", (0, 0)),
        ("SELECT map(array['a'], array[1])['b']", "INVALID_FUNCTION_ARGUMENT: a map has no such key", "element_at", (0, 0)),
        ("DROP TABLE shop_order", "DROP may not run", "one SELECT", (1, 1)),
        ("  summarize shop_order", "SUMMARIZE may not run", "one SELECT", (1, 3)),
        ("  show shop_order", "SHOW is not followed", "SHOW TABLES", (1, 3)),
        ("SELECT 1 AS a,\n  string_agg(id, ',') FROM shop_order", "function string_agg does not exist", "did you mean listagg", (2, 3)),
        ("SELECT * FROM shop_order WHERE", "syntax error at WHERE: something is missing after it", "", (1, 26)),
        ("SELECT xqzzzw(1)", "function xqzzzw does not exist", "Athena's documentation", (1, 8)),
        ("SELECT * FROM other.shop_order", "no database other", "shop_order", (1, 21)),
        ("WITH sale AS (SELECT 1 AS a) SELECT b FROM sale", "column b is not in sale", "there is a", (1, 37)),
    ])
    def test_an_error_says_what_and_where(
        self, engine: Query, sql: str, message: str, hint: str, place: tuple[int, int]
    ) -> None:
        with pytest.raises(QueryError) as caught:
            engine.execute(sql)
        assert message in str(caught.value)
        assert hint in caught.value.hint
        assert (caught.value.line, caught.value.column) == place

    def test_an_error_shows_no_value(self, lake: Lake, query: Query) -> None:
        lake.add(lake.declare(ORDER), [{"id": "ann@example.org", "quantity": 1}])
        for sql in ("SELECT cast(id AS bigint) FROM shop_order", "SELECT date_parse(id, '%Y') FROM shop_order", "SELECT cast(id AS date) FROM shop_order"):
            with pytest.raises(QueryError) as caught:
                query.execute(sql)
            assert "example" not in str(caught.value) + caught.value.hint
