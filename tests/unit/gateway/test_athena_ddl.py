"""Athena's DDL and writes, as boto3 sees them."""

import io

import pyarrow.parquet as pq
import pytest

from caudal.pipeline import Pipeline
from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.test_athena import Sql

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sql(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("athena"), Pipeline("shop")) as aws:
        client = Sql(aws)
        client.run("CREATE DATABASE db COMMENT 'mine'")
        yield client


def test_databases_come_and_go(sql):
    sql.run("CREATE SCHEMA IF NOT EXISTS other")
    sql.run("CREATE SCHEMA IF NOT EXISTS other")
    assert sql.fails("CREATE DATABASE other").startswith("FAILED: Database already exists")
    sql.run("CREATE TABLE other.t AS SELECT 1 AS a")
    assert sql.fails("DROP DATABASE other").startswith("FAILED: database other is not empty")
    sql.run("DROP DATABASE other CASCADE")
    assert ["other"] not in sql.rows("SHOW DATABASES")
    sql.run("DROP DATABASE IF EXISTS other")
    assert sql.fails("CREATE TABLE shop.t AS SELECT 1 AS a").startswith("FAILED: shop holds the tables of the pipeline file")


def test_an_external_table_is_declared_changed_and_dropped(sql):
    sql.put("sales/dt=1/a.csv", b"1;x\n")
    sql.put("sales/dt=2/a.csv", b"2;y\n")
    sql.put("sales/DT=3/a.csv", b"3;z\n")
    sql.run("""/* made by hand */ CREATE EXTERNAL TABLE IF NOT EXISTS `sales` (id int COMMENT 'key', name string)
        PARTITIONED BY (dt string) ROW FORMAT DELIMITED FIELDS TERMINATED BY ';' LINES TERMINATED BY '\\n'
        STORED AS TEXTFILE LOCATION 's3://data/sales/' TBLPROPERTIES ('a'='b')""")
    assert sql.rows("SELECT * FROM sales") == []
    sql.run("MSCK REPAIR TABLE sales")
    assert sql.rows("SELECT id, name, dt FROM sales ORDER BY id") == [["1", "x", "1"], ["2", "y", "2"]]
    sql.run("ALTER TABLE sales ADD IF NOT EXISTS PARTITION (dt='2') PARTITION (dt='9') LOCATION 's3://data/sales/DT=3/'")
    assert sql.rows("SELECT id FROM db.sales WHERE dt = '9'") == [["3"]]
    assert sql.fails("ALTER TABLE sales ADD PARTITION (dt='2')").startswith("FAILED: Partition already exists")
    sql.run("ALTER TABLE sales DROP PARTITION (dt='9')")
    assert sql.rows("SHOW PARTITIONS sales") == [["dt=1"], ["dt=2"]]
    sql.run("ALTER TABLE sales ADD COLUMNS (more double)")
    sql.run("ALTER TABLE sales SET TBLPROPERTIES ('c'='d')")
    assert sql.rows("DESCRIBE sales")[:3] == [["id", "int", "key"], ["name", "string", ""], ["more", "double", ""]]
    assert sql.rows("SHOW COLUMNS IN sales") == [["id"], ["name"], ["more"], ["dt"]]
    text = "\n".join(row[0] for row in sql.rows("SHOW CREATE TABLE sales"))
    sql.run("DROP TABLE sales")
    assert sql.fails("SELECT 1 FROM sales").startswith("TABLE_NOT_FOUND: line 1:15: ")
    sql.run(text)
    assert "\n".join(row[0] for row in sql.rows("SHOW CREATE TABLE sales")) == text


@pytest.mark.parametrize("form", ["PARQUET", "TEXTFILE", "JSON"])
def test_ctas_writes_a_table_and_insert_adds_to_it(sql, form):
    name = f"made_{form.lower()}"
    select = """SELECT 1 AS id, 'a "q"' AS name, DECIMAL '1.50' AS price, TIMESTAMP '2026-01-31 12:00:00.250' AS at,
                CAST(NULL AS varchar) AS nothing, DATE '2026-01-31' AS day"""
    done = sql.run(f"CREATE TABLE {name} WITH (format = '{form}', partitioned_by = ARRAY['day']) AS {select}")
    manifest = sql.get(done["Statistics"]["DataManifestLocation"]).decode().split()
    assert len(manifest) == 1
    assert "/day=2026-01-31/" in manifest[0]
    assert done["Statistics"]["DataManifestLocation"].endswith("-manifest.csv")
    assert done["SubstatementType"] == "CREATE_TABLE_AS_SELECT"
    row = ["1", 'a "q"', "1.50", "2026-01-31 12:00:00.250", None, "2026-01-31"]
    assert sql.rows(f"SELECT * FROM {name}") == [row]
    id = sql.run(f"INSERT INTO {name} (day, id) VALUES (DATE '2026-02-01', 2)")["QueryExecutionId"]
    assert sql.athena.get_query_results(QueryExecutionId=id)["UpdateCount"] == 1
    assert sql.rows(f"SELECT id, name, day FROM {name} ORDER BY id") == [["1", 'a "q"', "2026-01-31"], ["2", None, "2026-02-01"]]
    assert sql.fails(f"CREATE TABLE {name} AS SELECT 1 AS a").startswith("TABLE_ALREADY_EXISTS: ")
    assert sql.fails(f"INSERT INTO {name} SELECT 1").startswith("TYPE_MISMATCH: ")


def test_unload_writes_objects_alone(sql):
    done = sql.run("UNLOAD (SELECT 1 AS a, 'x' AS b) TO 's3://data/out/' WITH (format = 'PARQUET', compression = 'SNAPPY')")
    urls = sql.get(done["Statistics"]["DataManifestLocation"]).decode().split()
    assert pq.read_table(io.BytesIO(sql.get(urls[0]))).to_pylist() == [{"a": 1, "b": "x"}]
    assert done["SubstatementType"] == "UNLOAD"
    assert sql.fails("UNLOAD (SELECT 1 AS a) TO 's3://data/out/' WITH (format = 'JSON')").startswith("HIVE_PATH_ALREADY_EXISTS")


def test_a02_more_than_a_hundred_partitions_are_refused(sql):
    told = sql.fails("CREATE TABLE many WITH (partitioned_by = ARRAY['p']) AS SELECT 1 AS a, n AS p FROM UNNEST(SEQUENCE(1, 230)) t(n)")
    assert told.startswith("HIVE_TOO_MANY_OPEN_PARTITIONS: ")
    assert ["many"] not in sql.rows("SHOW TABLES")


def test_views_are_read_wherever_they_stand(sql):
    sql.run("CREATE TABLE base AS SELECT n AS id FROM UNNEST(SEQUENCE(1, 3)) AS t(n)")
    sql.run("CREATE VIEW odd AS SELECT id FROM base WHERE id % 2 = 1")
    sql.run("CREATE OR REPLACE VIEW twice AS SELECT o.id, odd.id AS other FROM odd AS o JOIN db.odd ON odd.id = o.id")
    assert sql.rows("SELECT * FROM db.twice ORDER BY 1", "default") == [["1", "1"], ["3", "3"]]
    assert sql.rows("WITH base AS (SELECT 7 AS x) SELECT count(*), max(base.x) FROM odd, base") == [["2", "7"]]
    assert sql.rows("SHOW VIEWS") == [["odd"], ["twice"]]
    assert sql.fails("DROP TABLE odd").startswith("FAILED: odd is a view")
    sql.run("DROP VIEW twice")
    assert sql.rows("SELECT table_name FROM information_schema.tables WHERE table_type = 'VIEW'") == [["odd"]]


def test_what_is_not_served_is_refused_by_name(sql):
    assert sql.fails("CREATE TABLE o WITH (format = 'ORC') AS SELECT 1 AS a").startswith("NOT_SUPPORTED: format ORC")
    assert sql.fails("CREATE TABLE o WITH (bucket_count = 2) AS SELECT 1 AS a").startswith("INVALID_TABLE_PROPERTY: ")
    assert sql.fails("MERGE INTO t USING s ON 1 = 1").startswith("SYNTAX_ERROR: ")


def test_tables_of_one_name_are_told_apart(sql):
    sql.run("CREATE DATABASE d1")
    sql.run("CREATE DATABASE d2")
    sql.run("CREATE TABLE d1.t AS SELECT 1 AS a")
    sql.run("CREATE TABLE d2.t AS SELECT 2 AS a")
    assert sql.rows("SELECT x.a, y.a FROM d1.t x CROSS JOIN d2.t y") == [["1", "2"]]
    assert sql.rows("WITH t AS (SELECT 3 AS a) SELECT t.a, u.a FROM t CROSS JOIN d2.t u") == [["3", "2"]]
    assert sql.rows("WITH t AS (SELECT a + 4 AS a FROM d1.t) SELECT a FROM t") == [["5"]]
