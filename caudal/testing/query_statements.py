"""What every query engine answers about its tables, and how queries take values."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from caudal.contract import Column, Contract, day, identity
from caudal.errors import QueryError
from caudal.lake.query import Query
from caudal.lake.query.cancel import Cancel
from caudal.testing.query_lake import ORDER, VIEW, Lake

ENDLESS = """SELECT count(*) FROM UNNEST(sequence(1, 10000)) AS a(x), UNNEST(sequence(1, 10000)) AS b(y),
    UNNEST(sequence(1, 10000)) AS c(z) WHERE x * y * z % 7 = 3"""


class QueryStatements:
    """Part of `QuerySuite`."""

    @pytest.fixture
    def shop(self, lake: Lake, query: Query) -> Query:
        """An engine over a table of two orders, and one of events."""
        lake.add(lake.declare(ORDER), [{"id": "o1", "quantity": 1, "note": "x"}, {"id": "o2", "quantity": 9, "note": "y"}])
        lake.add(lake.declare(VIEW, "csv"), [{"page": "/", "visitor": None}])
        return query

    @pytest.mark.parametrize(("sql", "column", "values"), [
        ("SHOW TABLES", "tab_name", ["page_view", "shop_order", "shop_order_history"]), ("show tables 'page*|x'", "tab_name", ["page_view"]),
        ("SHOW TABLES LIKE '*history';", "tab_name", ["shop_order_history"]), ("/* why */ SHOW TABLES IN default", "tab_name", ["page_view", "shop_order", "shop_order_history"]),
        ("SHOW TABLES '(a+)+$'", "tab_name", []), ("SHOW DATABASES", "database_name", ["default"]), ("SHOW SCHEMAS LIKE 'x*'", "database_name", []), ("SHOW VIEWS", "views", ["shop_order"]),
        ("SHOW COLUMNS IN shop_order", "field", ["id", "quantity", "note"]), ("SHOW COLUMNS FROM page_view IN default", "field", VIEW.row_schema.names),
        ("DESCRIBE shop_order", "data_type", ["string", "bigint", "string"]), ("DESC default.shop_order quantity", "data_type", ["bigint"]),
        ("DESCRIBE `shop_order_history`", "data_type", ["string", "bigint", "string", "string", "string", "timestamp", "string", "int", "bigint", "string"]),
        ("SELECT schema_name FROM information_schema.schemata", "schema_name", ["default"]),
        ("SELECT table_name || ' ' || table_type AS t FROM information_schema.tables ORDER BY 1", "t", ["page_view BASE TABLE", "shop_order VIEW", "shop_order_history BASE TABLE"]),
        ("SELECT column_name || ' ' || data_type || ' ' || is_nullable AS c FROM awsdatacatalog.information_schema.columns WHERE table_name = 'shop_order' ORDER BY ordinal_position", "c",
         ["id varchar NO", "quantity bigint NO", "note varchar YES"]),
    ])
    def test_tables_and_columns_are_shown(self, shop: Query, sql: str, column: str, values: list[str]) -> None:
        assert shop.execute(sql)[column].to_pylist() == values
        assert pa.concat_tables(shop.stream(sql)).to_pylist() == shop.execute(sql).to_pylist()

    def test_a07_partitions_are_shown_as_rows_and_nothing_else(self, lake: Lake, query: Query) -> None:
        dated = replace(VIEW, columns=(*VIEW.columns, Column("on_day", "date")), partition=(day("on_day"),))
        lake.declare(dated)
        assert query.execute("SHOW PARTITIONS page_view").num_rows == 0
        assert query.execute("DESCRIBE page_view")["col_name"].to_pylist()[-3:] == ["# Partition Information", "# col_name", "on_day_day"]
        lake.declare(ORDER)
        with pytest.raises(QueryError, match="not partitioned"):
            query.execute("SHOW PARTITIONS shop_order")

    def test_c04_c18_the_ddl_of_csv_skips_headers_and_has_text_alone(self, shop: Query) -> None:
        lines = shop.execute("SHOW CREATE TABLE page_view")["createtab_stmt"].to_pylist()
        assert lines[:3] == ["CREATE EXTERNAL TABLE `page_view`(", "  `page` string,", "  `visitor` string,"]
        assert "  'org.apache.hadoop.hive.serde2.OpenCSVSerde'" in lines and lines[-1] == "  'skip.header.line.count'='1')"
        assert [line.split()[1].rstrip(",)") for line in lines[1:9]] == ["string"] * 8

    def test_the_ddl_of_parquet_has_its_types_and_folders(self, lake: Lake, query: Query) -> None:
        columns = (Column("id", "string"), Column("price", "decimal", precision=9, scale=2), Column("country", "string"))
        lake.declare(Contract("sale", columns, key=("id",), partition=(identity("country"),)))
        lines = query.execute("SHOW CREATE TABLE sale_history")["createtab_stmt"].to_pylist()
        assert lines[:3] == ["CREATE EXTERNAL TABLE `sale_history`(", "  `id` string,", "  `price` decimal(9,2),"]
        assert lines[lines.index("PARTITIONED BY (") + 1] == "  `country` string)" and "  `country` string," not in lines
        assert "  'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'" in lines

    @pytest.mark.parametrize("format", ["parquet", "csv"])
    def test_the_view_that_is_shown_answers_as_the_table_does(self, lake: Lake, query: Query, format: str) -> None:
        table = lake.declare(ORDER, format)
        lake.add(table, [{"id": "o1", "quantity": 1, "note": "x"}, {"id": "o2", "quantity": 9}])
        lake.add(table, [{"id": "o1", "quantity": 2, "note": None}, {"id": "o2", "quantity": 9, "_op": "delete"}])
        lines = query.execute("SHOW CREATE VIEW shop_order")["Create View"].to_pylist()
        assert lines[0] == 'CREATE VIEW "shop_order" AS'
        given: dict[str, pa.Table] = {}
        if format == "csv":  # as its reader in Athena shows it
            texts = ", ".join(f"CAST({name} AS varchar) AS {name}" for name in ORDER.row_schema.names)
            given = {"shop_order_history": query.execute(f"SELECT {texts} FROM shop_order_history")}
        assert query.execute("\n".join(lines[1:]), tables=given).to_pylist() == query.execute("SELECT * FROM shop_order").to_pylist()
        with pytest.raises(QueryError, match="a view"):
            query.execute("SHOW CREATE TABLE shop_order")

    def test_a_row_says_which_file_it_is_in(self, lake: Lake, shop: Query) -> None:
        rows = shop.execute('SELECT *, "$path", "$file_size", "$file_modified_time" FROM shop_order_history ORDER BY id').to_pylist()
        files = lake.catalog.snapshot("shop_order").files
        assert [row["$path"].rpartition("/")[2] for row in rows] == [files[0].path.rpartition("/")[2]] * 2
        assert {row["$file_size"] for row in rows} == {files[0].bytes}
        assert all(row["$file_modified_time"].year >= 2026 for row in rows)
        assert "$path" not in shop.execute("SELECT * FROM page_view").schema.names
        assert shop.execute('SELECT "$path" AS p, count(*) AS n FROM page_view GROUP BY "$path"')["n"].to_pylist() == [1]

    def test_explain_says_what_is_read_and_done_in_the_querys_own_words(self, shop: Query) -> None:
        sql = "SELECT note, sum(quantity) AS n FROM shop_order o WHERE quantity > 1 GROUP BY note ORDER BY n DESC LIMIT 3"
        plan = shop.execute(f"EXPLAIN {sql}")["Query Plan"].to_pylist()
        assert [line.strip(" -").partition("[")[0] for line in plan] == ["Limit", "Sort", "Output", "Aggregate", "Filter", "TableScan"]
        assert "shop_order: current state, version 1, parquet, 1 files, 2 rows" in plan[-1]
        joined = "EXPLAIN SELECT a.id FROM shop_order a JOIN page_view b ON a.id = b.page WHERE a.id IN (SELECT page FROM page_view)"
        text = "\n".join(shop.execute(joined)["Query Plan"].to_pylist())
        assert text.count("TableScan") == 3 and "lake:" not in text and "read_" not in text.lower()
        with pytest.raises(QueryError, match="column quantty"):
            shop.execute("EXPLAIN SELECT quantty FROM shop_order")

    @pytest.mark.parametrize(("sql", "parameters", "answer"), [
        ("SELECT id FROM shop_order WHERE quantity > ?", ["5"], ["o2"]), ("SELECT id FROM shop_order WHERE note = ? AND quantity < ?", ["'x'", "1.5"], ["o1"]),
        ("SELECT '?' AS a FROM shop_order WHERE note = ? -- ?", ["'y'"], ["?"]), ("SELECT ? AS a", ["'it''s -- ?'"], ["it's -- ?"]), ("SELECT 5 - ? AS a", ["-5"], [10]),
        ("SELECT ? AS a", ["NULL"], [None]), ("SELECT year(?) AS a", ["DATE '2026-01-31'"], [2026]), ("SELECT id FROM shop_order WHERE note = ?", ["'x' -- why"], ["o1"]),
    ])
    def test_parameters_are_literals(self, shop: Query, sql: str, parameters: list[str], answer: list[Any]) -> None:
        assert shop.execute(sql, parameters=parameters).column(0).to_pylist() == answer

    @pytest.mark.parametrize("parameters", [
        [], ["'x'", "'y'"], ["x"], ["id"], ["'x' OR true"], ["(SELECT 'x')"], ["'x'; DROP TABLE shop_order"], ["1, 2"], [""], ["'x"], ["?"], ["5"],
        ["read_text('/etc/passwd')"], ["upper('x')"], ["'x' FROM shop_order"],
    ])
    def test_a_parameter_is_one_constant_of_the_right_type(self, shop: Query, parameters: list[str]) -> None:
        with pytest.raises(QueryError) as caught:
            shop.execute("SELECT id FROM shop_order WHERE note = ?", parameters=parameters)
        assert "passwd" not in f"{caught.value} {caught.value.hint}"

    def test_statements_are_prepared_run_and_forgotten(self, shop: Query) -> None:
        assert shop.execute("PREPARE dear FROM SELECT id FROM shop_order WHERE quantity > ? AND note = ?").num_columns == 0
        assert shop.execute("EXECUTE Dear USING 1, 'y'")["id"].to_pylist() == ["o2"]
        assert shop.execute("EXECUTE dear", parameters=["1", "'y'"])["id"].to_pylist() == ["o2"]
        for wrong in ("EXECUTE dear", "EXECUTE dear USING 1", "EXECUTE dear USING 'y', 1", "EXECUTE der USING 1, 'y'", "EXECUTE dear USING quantity, 'y'"):
            with pytest.raises(QueryError):
                shop.execute(wrong)
        shop.execute("DEALLOCATE PREPARE dear")
        with pytest.raises(QueryError, match="no prepared statement dear"):
            shop.execute("EXECUTE dear USING 1, 'y'")

    @pytest.mark.parametrize("values", ["(1, 'a'), (2, NULL)", "(2, NULL), (1, 'a')"])
    def test_values_are_a_table(self, query: Query, values: str) -> None:
        sql = f"SELECT s, n + 1 AS m FROM (VALUES {values}) AS t(n, s) ORDER BY n"
        assert query.execute(sql).to_pylist() == [{"s": "a", "m": 2}, {"s": None, "m": 3}]

    def test_a_query_ends_when_another_thread_cancels_it(self, query: Query) -> None:
        cancel, started = Cancel(), threading.Event()

        def run() -> None:
            with cancel.active():
                started.set()
                query.execute(ENDLESS)

        with ThreadPoolExecutor(1) as threads:
            ended = threads.submit(run)
            started.wait()
            cancel()
            with pytest.raises(QueryError, match="QUERY_CANCELLED"):
                ended.result()
            with pytest.raises(QueryError, match="QUERY_CANCELLED"):
                threads.submit(run).result()  # and whatever comes after it
            assert threads.submit(query.execute, "SELECT 1 AS one").result().to_pylist() == [{"one": 1}]
