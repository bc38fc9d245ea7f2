"""Iceberg tables through Athena: each statement, and what it leaves."""

from decimal import Decimal

import pytest

from tests.unit.gateway.athena_iceberg.tables import make, pyiceberg

pytestmark = pytest.mark.slow


def test_a_table_is_made_filled_changed_and_read(sql):
    make(sql, "whole")
    done = sql.run("""INSERT INTO whole VALUES
        (1, 'ann', DECIMAL '1234567890123456789012345678.0123456789', TIMESTAMP '2026-01-31 12:00:00.123456', DATE '2026-01-31'),
        (2, NULL, NULL, NULL, NULL), (3, '', DECIMAL '-0.5', TIMESTAMP '1969-12-31 23:59:59.999', DATE '1969-12-31')""")
    assert (done["StatementType"], done["SubstatementType"]) == ("DML", "INSERT")
    assert sql.rows("SELECT * FROM whole ORDER BY id") == [
        ["1", "ann", "1234567890123456789012345678.0123456789", "2026-01-31 12:00:00.123456", "2026-01-31"],
        ["2", None, None, None, None], ["3", "", "-0.5000000000", "1969-12-31 23:59:59.999000", "1969-12-31"]]
    done = sql.run("UPDATE whole SET name = concat(coalesce(name, 'nobody'), '!'), price = 7 WHERE id IN (1, 2)")
    assert (done["StatementType"], done["SubstatementType"]) == ("DML", "UPDATE")
    assert sql.athena.get_query_results(QueryExecutionId=done["QueryExecutionId"])["UpdateCount"] == 2
    sql.run("DELETE FROM whole WHERE id = 3")
    assert sql.rows("SELECT id, name, price FROM whole ORDER BY id") == [
        ["1", "ann!", "7.0000000000"], ["2", "nobody!", "7.0000000000"]]
    done = sql.run("""MERGE INTO db.whole AS t USING (VALUES (1, 'x'), (2, 'y'), (4, 'z'), (5, NULL)) AS s (id, name) ON t.id = s.id
        WHEN MATCHED AND s.name = 'x' THEN DELETE
        WHEN MATCHED THEN UPDATE SET name = s.name, day = DATE '2026-02-01'
        WHEN NOT MATCHED AND s.name IS NOT NULL THEN INSERT (id, name) VALUES (s.id, upper(s.name))""")
    assert sql.athena.get_query_results(QueryExecutionId=done["QueryExecutionId"])["UpdateCount"] == 3
    assert sql.rows("SELECT id, name, price, day FROM whole ORDER BY id") == [
        ["2", "y", "7.0000000000", "2026-02-01"], ["4", "Z", None, None]]
    found = pyiceberg(sql).load_table("db.whole").scan().to_arrow().select(["id", "name", "price"]).to_pylist()
    assert sorted(found, key=lambda row: row["id"]) == [
        {"id": 2, "name": "y", "price": Decimal("7.0000000000")}, {"id": 4, "name": "Z", "price": None}]


def test_partitions_are_hidden_and_prune(sql):
    make(sql, "parted", "id int, who string, at timestamp, day date, amount decimal(10,2)",
         "PARTITIONED BY (who, bucket(4, id), truncate(3, amount), year(day), month(at))")
    sql.run("""INSERT INTO parted VALUES (1, 'ann', TIMESTAMP '2026-01-31 12:00:00', DATE '2026-01-31', DECIMAL '1.05'),
               (2, 'bob', TIMESTAMP '2026-02-01 00:00:00', DATE '2025-01-31', DECIMAL '7.00'), (3, NULL, NULL, NULL, NULL)""")
    assert sql.rows("SELECT id FROM parted ORDER BY id") == [["1"], ["2"], ["3"]]
    everything = sql.run("SELECT id FROM parted")["Statistics"]["DataScannedInBytes"]
    for where, ids in (
        ("who = 'ann'", [["1"]]), ("who IS NULL", [["3"]]), ("at >= TIMESTAMP '2026-02-01 00:00:00'", [["2"]]),
        ("day BETWEEN DATE '2025-01-01' AND DATE '2025-12-31'", [["2"]]), ("id IN (1)", [["1"]]),
        ("DATE '2026-01-01' < day", [["1"]]), ("who = 'ann' AND who = 'bob'", []), ("amount > 7 - 1", [["2"]]),
        ("parted.who = 'bob' OR id = 3", [["2"], ["3"]]), ("NOT who = 'ann'", [["2"]]),
    ):
        done = sql.run(f"SELECT id FROM parted WHERE {where}")
        assert sql.rows(f"SELECT id FROM parted WHERE {where} ORDER BY id") == ids, where
        if "7 - 1" not in where and "NOT" not in where:
            assert done["Statistics"]["DataScannedInBytes"] < everything, where
    sql.run("UPDATE parted SET who = 'ann', at = at + INTERVAL '1' MONTH WHERE id = 2")
    assert sql.rows("SELECT id, who, at FROM parted WHERE who = 'ann' ORDER BY id") == [
        ["1", "ann", "2026-01-31 12:00:00.000000"], ["2", "ann", "2026-03-01 00:00:00.000000"]]
    shown = [row[0] for row in sql.rows("SHOW CREATE TABLE parted")]
    assert "PARTITIONED BY (`who`, bucket(4, `id`), truncate(3, `amount`), year(`day`), month(`at`))" in shown
    sql.run("DROP TABLE parted")
    sql.run("\n".join(shown))
    assert [row[0] for row in sql.rows("SHOW CREATE TABLE parted")] == shown
    assert ["at_month", "month", "at"] in sql.rows("DESCRIBE parted")
    for part, told in (("bucket(0, id)", "Unable to parse partitioning value"), ("nope", "COLUMN_NOT_FOUND"),
                       ("hour(day)", "Invalid partition field declaration"), ("id, id", "twice"), ("week(at)", "Unable to parse")):
        assert told in sql.fails(f"CREATE TABLE t (id int, day date, at timestamp) PARTITIONED BY ({part}) LOCATION 's3://data/t/'"
                                 " TBLPROPERTIES ('table_type'='ICEBERG')")


def test_ctas_makes_the_table_with_its_rows(sql):
    done = sql.run("""CREATE TABLE ctas WITH (table_type = 'ICEBERG', is_external = false, location = 's3://data/ctas/',
        format = 'PARQUET', write_compression = 'SNAPPY', partitioning = ARRAY['day(at)', 'bucket(id, 3)'], vacuum_min_snapshots_to_keep = 3)
        AS SELECT 1 AS id, TIMESTAMP '2026-01-31 12:00:00' AS at, CAST(1.5 AS decimal(38, 20)) AS n, ARRAY[1, 2] AS l,
        MAP(ARRAY['k'], ARRAY[2]) AS m, CAST(ROW(1, 'b') AS ROW(p INTEGER, q VARCHAR)) AS r""")
    assert done["SubstatementType"] == "CREATE_TABLE_AS_SELECT"
    assert sql.get(done["Statistics"]["DataManifestLocation"]).decode().startswith("s3://data/ctas/data/")
    assert sql.rows("SELECT * FROM ctas") == [
        ["1", "2026-01-31 12:00:00.000000", "1.50000000000000000000", "[1, 2]", "{k=2}", "{p=1, q=b}"]]
    assert len(pyiceberg(sql).load_table("db.ctas").snapshots()) == 1
    assert sql.rows("SHOW TBLPROPERTIES ctas('write_compression')") == [["snappy"]]
    assert ["table_type\ticeberg"] in sql.rows("SHOW TBLPROPERTIES db.ctas") or ["table_type", "iceberg"] in sql.rows("SHOW TBLPROPERTIES db.ctas")
    assert sql.fails("CREATE TABLE ctas WITH (table_type = 'ICEBERG') AS SELECT 1 AS a").startswith("TABLE_ALREADY_EXISTS: ")
    assert sql.fails("CREATE TABLE c2 WITH (table_type = 'ICEBERG', is_external = true) AS SELECT 1 AS a").startswith("NOT_SUPPORTED: ")
    assert sql.fails("CREATE TABLE c2 WITH (table_type = 'ICEBERG', location = 's3://data/ctas/') AS SELECT 1 AS a").startswith(
        "HIVE_PATH_ALREADY_EXISTS: ")
    assert "Unsupported table property key: x" in sql.fails("CREATE TABLE c2 WITH (table_type = 'ICEBERG', x = 1) AS SELECT 1 AS a")
    sql.run("CREATE TABLE empty WITH (table_type = 'ICEBERG') AS SELECT 1 AS a WITH NO DATA")
    assert sql.rows("SELECT * FROM empty") == []
    sql.run("INSERT INTO empty VALUES (7)")
    assert sql.rows("SELECT * FROM empty") == [["7"]]


def test_columns_come_go_and_change(sql):
    make(sql, "evolving", "id int COMMENT 'key', name string, n float")
    sql.run("INSERT INTO evolving VALUES (1, 'a', REAL '1.5')")
    sql.run("ALTER TABLE evolving ADD COLUMNS (extra array<string> COMMENT 'more', d decimal(5,2))")
    sql.run("ALTER TABLE evolving CHANGE COLUMN id id bigint")
    sql.run("ALTER TABLE evolving CHANGE n amount double COMMENT 'money' FIRST")
    sql.run("ALTER TABLE evolving CHANGE d d decimal(7,2) AFTER id")
    sql.run("ALTER TABLE evolving DROP COLUMN name")
    sql.run("INSERT INTO evolving (id, extra) VALUES (5000000000, ARRAY['x'])")
    assert sql.rows("SELECT * FROM evolving ORDER BY id") == [["1.5", "1", None, None], [None, "5000000000", None, "[x]"]]
    assert sql.rows("DESCRIBE evolving")[:6] == [
        ["# Table schema:", "", ""], ["# col_name", "data_type", "comment"], ["amount", "double", "money"],
        ["id", "bigint", "key"], ["d", "decimal(7,2)", ""], ["extra", "array<string>", "more"]]
    assert sql.rows("SHOW COLUMNS IN evolving") == [["amount"], ["id"], ["d"], ["extra"]]
    assert sql.rows("SELECT column_name FROM information_schema.columns WHERE table_name = 'evolving' ORDER BY ordinal_position") == [
        ["amount"], ["id"], ["d"], ["extra"]]
    found = sql.athena.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName="db", TableName="evolving")
    assert [column["Name"] for column in found["TableMetadata"]["Columns"]] == ["amount", "id", "d", "extra"]
    assert sql.fails("ALTER TABLE evolving CHANGE id id int").startswith("FAILED: ")
    assert sql.fails("ALTER TABLE evolving ADD COLUMNS (id int)").startswith("FAILED: Duplicate column name: id")
    assert sql.fails("ALTER TABLE evolving DROP COLUMN nope").startswith("FAILED: column nope is not in the table")
    assert sql.fails("ALTER TABLE evolving REPLACE COLUMNS (id int)").startswith("NOT_SUPPORTED: REPLACE COLUMNS")
    sql.run("ALTER TABLE evolving SET TBLPROPERTIES ('vacuum_min_snapshots_to_keep'='4')")
    assert sql.rows("SHOW TBLPROPERTIES evolving('vacuum_min_snapshots_to_keep')") == [["4"]]
    sql.run("ALTER TABLE evolving UNSET TBLPROPERTIES ('vacuum_min_snapshots_to_keep')")
    assert sql.rows("SHOW TBLPROPERTIES evolving('vacuum_min_snapshots_to_keep')") == [
        ["Table db.evolving does not have property: vacuum_min_snapshots_to_keep"]]
    assert "vacuum_min_snapshots_to_keep" not in sql.glue.get_table(DatabaseName="db", Name="evolving")["Table"]["Parameters"]
    assert sql.fails("ALTER TABLE evolving SET TBLPROPERTIES ('nope'='4')").startswith("SYNTAX_ERROR: Unsupported table property key: nope")
    sql.run("ALTER TABLE evolving RENAME TO evolved")
    assert sql.rows("SELECT count(*) FROM evolved") == [["2"]]
    assert sql.fails("SELECT 1 FROM evolving").startswith("TABLE_NOT_FOUND: ")


def test_a_table_is_read_as_it_was(sql):
    make(sql, "versions", "id int")
    for n in 1, 2:
        sql.run(f"INSERT INTO versions VALUES ({n})")
    sql.run("ALTER TABLE versions ADD COLUMNS (more string)")
    sql.run("DELETE FROM versions WHERE id = 1")
    first, second, third = [row[0] for row in sql.rows('SELECT snapshot_id FROM "versions$snapshots" ORDER BY committed_at')]
    assert sql.rows(f"SELECT * FROM versions FOR VERSION AS OF {first}") == [["1"]]
    assert sql.rows(f"SELECT id FROM db.versions FOR VERSION AS OF {second} ORDER BY id") == [["1"], ["2"]]
    assert sql.rows(f"SELECT a.id, b.id FROM versions AS a JOIN versions FOR VERSION AS OF {second} AS b ON a.id = b.id") == [["2", "2"]]
    assert sql.rows("SELECT * FROM versions FOR TIMESTAMP AS OF current_timestamp") == [["2", None]]
    assert sql.fails("SELECT * FROM versions FOR TIMESTAMP AS OF TIMESTAMP '2020-01-01 00:00:00'").startswith(
        'INVALID_ARGUMENTS: No version history table "db"."versions" at or before 2020-01-01T00:00:00.000Z')
    assert sql.fails("SELECT * FROM versions FOR VERSION AS OF 7").startswith("INVALID_ARGUMENTS: Iceberg snapshot ID does not exists: 7")
    sql.run("CREATE TABLE plain AS SELECT 1 AS a")
    assert sql.fails("SELECT * FROM plain FOR VERSION AS OF 7").startswith("NOT_SUPPORTED: ")
    assert sql.rows('SELECT operation FROM "db"."versions$snapshots" ORDER BY committed_at') == [["append"], ["append"], ["delete"]]
    assert sql.rows('SELECT snapshot_id, is_current_ancestor FROM "versions$history" WHERE parent_id IS NULL') == [[first, "true"]]
    assert sql.rows('SELECT record_count, lower_bounds, content, file_format FROM "versions$files"') == [["1", "{1=2}", "0", "PARQUET"]]
    assert sql.rows('SELECT sum(added_data_files_count + existing_data_files_count) FROM "versions$manifests"') == [["1"]]
    assert sql.rows('SELECT record_count, file_count FROM "versions$partitions"') == [["1", "1"]]
    assert sql.rows('SELECT name, type, snapshot_id FROM "versions$refs"') == [["main", "BRANCH", third]]
    assert sql.fails('SELECT * FROM "versions$nope"').startswith("TABLE_NOT_FOUND: ")
    assert sql.fails('SELECT * FROM "plain$files"').startswith("TABLE_NOT_FOUND: ")


def test_small_files_become_one_and_old_snapshots_go(sql):
    make(sql, "kept", "id int, day date", "PARTITIONED BY (day)", optimize_rewrite_data_file_threshold=2)
    for n in range(4):
        sql.run(f"INSERT INTO kept VALUES ({n}, DATE '2026-01-01'), ({n}, DATE '2026-01-02')")
    sql.run("OPTIMIZE kept REWRITE DATA USING BIN_PACK WHERE kept.day = DATE '2026-01-01'")
    assert sql.rows('SELECT count(*) FROM "kept$files"') == [["5"]]
    done = sql.run("OPTIMIZE db.kept REWRITE DATA USING BIN_PACK")
    assert done["SubstatementType"] == "OPTIMIZE"
    assert sql.rows('SELECT count(*), sum(record_count) FROM "kept$files"') == [["2", "8"]]
    assert sql.rows('SELECT operation FROM "kept$snapshots" ORDER BY committed_at DESC LIMIT 2') == [["replace"], ["replace"]]
    assert sql.fails("OPTIMIZE kept REWRITE DATA USING BIN_PACK WHERE id = 1").startswith("NOT_SUPPORTED: Unexpected FilterNode")
    sql.run("VACUUM kept")
    assert sql.rows('SELECT count(*) FROM "kept$snapshots"') == [["6"]]
    sql.run("ALTER TABLE kept SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds'='0', 'vacuum_min_snapshots_to_keep'='2')")
    sql.run("VACUUM kept")
    assert sql.rows('SELECT count(*) FROM "kept$snapshots"') == [["2"]]
    assert sql.rows("SELECT id, day FROM kept ORDER BY day, id")[:5] == [
        ["0", "2026-01-01"], ["1", "2026-01-01"], ["2", "2026-01-01"], ["3", "2026-01-01"], ["0", "2026-01-02"]]
    sql.run("DROP TABLE kept")
    left = [each["Key"] for each in sql.s3.list_objects_v2(Bucket="data", Prefix="kept/").get("Contents", [])]
    assert [key for key in left if key.endswith((".parquet", ".avro"))] == []
    assert left == []


def test_what_athena_refuses_is_refused(sql):
    make(sql, "strict", "id int, name string, at timestamp")
    sql.run("INSERT INTO strict VALUES (1, 'a', NULL), (2, 'b', NULL)")
    for text, told in (
        ("INSERT INTO strict VALUES ('1', 'a', NULL)", "TYPE_MISMATCH: "), ("INSERT INTO strict VALUES (1)", "TYPE_MISMATCH: "),
        ("UPDATE strict SET id = 'x'", "TYPE_MISMATCH: UPDATE table column types don't match SET expressions"),
        ("UPDATE strict SET name = 1", "TYPE_MISMATCH: "), ("UPDATE strict SET nope = 1", "COLUMN_NOT_FOUND: "),
        ("UPDATE strict SET id = 1, id = 2", "SYNTAX_ERROR: Multiple assignments"),
        ("UPDATE strict SET id = 5000000000", "INVALID_CAST_ARGUMENT: "),
        ("UPDATE strict SET id = nope", "COLUMN_NOT_FOUND: "), ("DELETE FROM strict WHERE nope = 1", "COLUMN_NOT_FOUND: "),
        ("DELETE FROM nope", "TABLE_NOT_FOUND: "), ("DELETE strict", "SYNTAX_ERROR: line 1:8: mismatched input 'STRICT'. Expecting: FROM"),
        ("DELETE FROM strict WHERE", "SYNTAX_ERROR: "), ("UPDATE strict SET id = 1 WHERE id = 1 LIMIT 1", "SYNTAX_ERROR: "),
        ("DELETE FROM shop.t", "FAILED: shop holds the tables of the pipeline file"),
        ("MERGE INTO strict t USING (VALUES 1, 1) AS s (id) ON t.id = s.id WHEN MATCHED THEN DELETE",
         "MERGE_TARGET_ROW_MULTIPLE_MATCHES: One MERGE target table row matched more than one source row"),
        ("MERGE INTO strict t USING (VALUES 1) AS s (id) ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, name) VALUES (1)", "TYPE_MISMATCH: "),
        ("MERGE INTO strict t USING (VALUES 1) AS s (id) ON t.id = s.id WHEN MATCHED THEN INSERT VALUES (1)", "SYNTAX_ERROR: "),
        ("MERGE INTO strict t USING nope s ON t.id = s.id WHEN MATCHED THEN DELETE", "TABLE_NOT_FOUND: "),
        ("CREATE EXTERNAL TABLE t (id int) LOCATION 's3://data/t/' TBLPROPERTIES ('table_type'='ICEBERG')",
         "FAILED: External keyword not supported for table type ICEBERG"),
        ("CREATE TABLE t (id int) TBLPROPERTIES ('table_type'='ICEBERG')", "FAILED: no LOCATION"),
        ("CREATE TABLE t (id smallint) LOCATION 's3://data/t/' TBLPROPERTIES ('table_type'='ICEBERG')", "NOT_SUPPORTED: smallint"),
        ("CREATE TABLE t (id int) LOCATION 's3://data/t/' TBLPROPERTIES ('table_type'='ICEBERG', 'format'='orc')", "NOT_SUPPORTED: format ORC"),
        ("CREATE TABLE t (id int) PARTITIONED BY (day string) LOCATION 's3://data/t/' TBLPROPERTIES ('table_type'='ICEBERG')", "FAILED: partition"),
        ("CREATE TABLE strict (id int) LOCATION 's3://data/t/' TBLPROPERTIES ('table_type'='ICEBERG')", "FAILED: AlreadyExistsException"),
        ("CREATE TABLE nope.t (id int) LOCATION 's3://data/t/' TBLPROPERTIES ('table_type'='ICEBERG')", "FAILED: "),
        ("INSERT INTO strict SELECT id, 'x', at, 1 FROM strict", "TYPE_MISMATCH: "),
        ("ALTER TABLE strict ADD PARTITION (id='1')", "NOT_SUPPORTED: ADD PARTITIONS"), ("MSCK REPAIR TABLE strict", "NOT_SUPPORTED: "),
    ):
        status = sql.wait(sql.start(text))["Status"]
        assert status.get("StateChangeReason", "").startswith(told), (text, status)
    sql.run("CREATE TABLE IF NOT EXISTS strict (id int) LOCATION 's3://data/t/' TBLPROPERTIES ('table_type'='ICEBERG')")
    sql.run("CREATE TABLE hive AS SELECT 1 AS id")
    assert sql.fails("DELETE FROM hive").startswith("NOT_SUPPORTED: Modifying Hive table rows")
    assert sql.fails("ALTER TABLE hive DROP COLUMN id").startswith("NOT_SUPPORTED: DROP COLUMN")
    assert sql.rows("SELECT id, name FROM strict ORDER BY id") == [["1", "a"], ["2", "b"]]


def test_A02_no_statement_writes_more_than_a_hundred_partitions(sql):
    make(sql, "many", "id int", "PARTITIONED BY (id)")
    values = ", ".join(f"({n})" for n in range(101))
    assert sql.fails(f"INSERT INTO many VALUES {values}").startswith(
        "ICEBERG_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of 100 open writers for partitions")
    assert sql.rows("SELECT count(*) FROM many") == [["0"]]
    assert sql.s3.list_objects_v2(Bucket="data", Prefix="many/data/").get("Contents", []) == []
    for first in 0, 100, 200:
        values = ", ".join(f"({n})" for n in range(first, min(230, first + 100)))
        sql.run(f"INSERT INTO many VALUES {values}")
    assert sql.rows("SELECT count(*), count(DISTINCT id) FROM many") == [["230", "230"]]


def test_statements_read_the_table_that_they_change(sql):
    make(sql, "itself", "id int, n int")
    sql.run("INSERT INTO itself VALUES (1, 10), (2, 20), (3, 30)")
    sql.run("DELETE FROM itself WHERE n = (SELECT max(n) FROM itself)")
    sql.run("UPDATE itself SET n = n + (SELECT sum(n) FROM db.itself) WHERE id IN (SELECT min(id) FROM itself)")
    sql.run("MERGE INTO itself USING (SELECT * FROM itself WHERE id = 1) s ON itself.id = s.id + 1 WHEN MATCHED THEN UPDATE SET n = s.n")
    sql.run("INSERT INTO itself SELECT id + 10, n FROM itself")
    assert sql.rows("SELECT id, n FROM itself ORDER BY id") == [["1", "40"], ["2", "40"], ["11", "40"], ["12", "40"]]
    sql.run("CREATE OR REPLACE VIEW seen AS SELECT id, n FROM itself WHERE id > 1")
    assert sql.rows("SELECT id FROM seen s ORDER BY id") == [["2"], ["11"], ["12"]]
    assert sql.rows("SHOW VIEWS IN db") == [["seen"]]
    sql.run("MERGE INTO itself USING seen ON itself.id = seen.id WHEN MATCHED AND seen.id = 12 THEN DELETE"
            " WHEN MATCHED THEN UPDATE SET n = CASE WHEN seen.id = 2 THEN 0 ELSE seen.n + 1 END")
    assert sql.rows("SELECT id, n FROM itself ORDER BY id") == [["1", "40"], ["2", "0"], ["11", "41"]]
    sql.run("DROP VIEW seen")
    sql.run("UPDATE itself SET n = ? WHERE id = ?", ExecutionParameters=["-5", "1"])
    assert sql.rows("SELECT n FROM itself WHERE id = 1") == [["-5"]]
    sql.run("DELETE FROM itself")
    assert sql.rows("SELECT count(*) FROM itself") == [["0"]]


def test_a_field_of_a_struct_is_no_column_of_its_name(sql):
    make(sql, "structs", "x int, s struct<x:int>")
    sql.run("INSERT INTO structs SELECT 5, CAST(ROW(1) AS ROW(x integer))")
    sql.run("UPDATE structs SET x = 6 WHERE s.x = 1")
    assert sql.rows("SELECT x FROM structs WHERE s.x = 1") == [["6"]]
    sql.run("DELETE FROM structs WHERE structs.x = 5")
    sql.run("DELETE FROM structs WHERE s.x = 1 AND structs.x = 6")
    assert sql.rows("SELECT count(*) FROM structs") == [["0"]]


def test_a_name_that_is_taken_is_refused(sql):
    make(sql, "first", "id int")
    make(sql, "second", "id int")
    assert sql.fails("ALTER TABLE first RENAME TO second") == "FAILED: Table db.second already exists. (choose another name)"
    assert sql.fails("ALTER TABLE first RENAME TO nowhere.second").endswith("Database nowhere not found.")
    assert sql.rows("SELECT count(*) FROM first") == [["0"]]
