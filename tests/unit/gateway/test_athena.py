"""Athena as boto3 sees it."""

import gzip
import io
import time
from datetime import date
from decimal import Decimal
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from pyathena import OperationalError, connect
from pyathena.cursor import DictCursor

from caudal.contract import Digits
from caudal.pipeline import Pipeline
from tests.unit.gateway.conftest import endpoint

pytestmark = pytest.mark.slow


class Sql:
    """A client that waits for its queries, with a bucket for what they say."""

    def __init__(self, aws):
        self.aws = aws
        self.athena, self.glue, self.s3 = (aws.client(name) for name in ("athena", "glue", "s3"))
        self.s3.create_bucket(Bucket="results")
        self.s3.create_bucket(Bucket="data")

    def start(self, sql, database="db", **more):
        more.setdefault("ResultConfiguration", {"OutputLocation": "s3://results/q/"})
        context = {"Database": database}
        return self.athena.start_query_execution(QueryString=sql, QueryExecutionContext=context, **more)["QueryExecutionId"]

    def wait(self, id):
        while True:
            found = self.athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]
            if found["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
                return found
            time.sleep(0.005)

    def run(self, sql, database="db", **more):
        found = self.wait(self.start(sql, database, **more))
        assert found["Status"]["State"] == "SUCCEEDED", found["Status"]
        return found

    def rows(self, sql, database="db", **more):
        """Rows as lists of text, without the header of a query."""
        id = self.run(sql, database, **more)["QueryExecutionId"]
        pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=id)
        found = [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
        return found[1:] if sql.lstrip(" (")[:4].upper() in ("SELE", "WITH", "VALU", "EXEC") else found

    def fails(self, sql, database="db", **more):
        status = self.wait(self.start(sql, database, **more))["Status"]
        assert status["State"] == "FAILED"
        assert status["StateChangeReason"] == status["AthenaError"]["ErrorMessage"]
        return status["AthenaError"]["ErrorMessage"]

    def put(self, key, data, bucket="data"):
        self.s3.put_object(Bucket=bucket, Key=key, Body=data)

    def get(self, url):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def declare(self, name, columns, serde, location, keys=(), serde_parameters=None, **parameters):
        names = [database["Name"] for database in self.glue.get_databases()["DatabaseList"]]
        if "db" not in names:
            self.glue.create_database(DatabaseInput={"Name": "db"})
        self.glue.create_table(DatabaseName="db", TableInput={
            "Name": name, "Parameters": parameters, "PartitionKeys": [{"Name": n, "Type": t} for n, t in keys],
            "StorageDescriptor": {
                "Columns": [{"Name": n, "Type": t} for n, t in columns], "Location": location,
                "SerdeInfo": {"SerializationLibrary": serde, "Parameters": serde_parameters or {}},
            },
        })


LAZY = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
OPEN = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
JSON = "org.openx.data.jsonserde.JsonSerDe"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@pytest.fixture(scope="module")
def sql(tmp_path_factory):
    shop = Pipeline("shop")

    @shop.table(key=["id"])
    class orders:
        id: str
        amount: Annotated[Decimal, Digits(9, 2)] | None

    with endpoint(tmp_path_factory.mktemp("athena"), shop) as aws:
        aws.stages.store.put("orders", {"id": "o1", "amount": Decimal("1.50")})
        aws.stages.store.put("orders", {"id": "o2", "amount": None})
        yield Sql(aws)


def test_values_are_written_as_athena_writes_them(sql):
    text = """SELECT 'a' AS x, 1, 1.50, 1e0, 1e10, true, NULL, DATE '2026-01-31', TIMESTAMP '2026-01-31 12:00:00.5', ARRAY[1, NULL],
              MAP(ARRAY['k'], ARRAY[2]), CAST(ROW(1, 'b') AS ROW(p INTEGER, q VARCHAR)), '' AS e, 'say "hi"' AS s"""
    done = sql.run(text)
    data = sql.get(done["ResultConfiguration"]["OutputLocation"]).decode()
    assert done["ResultConfiguration"]["OutputLocation"] == f"s3://results/q/{done['QueryExecutionId']}.csv"
    assert data == (
        '"x","_col1","_col2","_col3","_col4","_col5","_col6","_col7","_col8","_col9","_col10","_col11","e","s"\n'
        '"a","1","1.50","1.0","1.0E10","true",,"2026-01-31","2026-01-31 12:00:00.500","[1, null]","{k=2}","{p=1, q=b}","",'
        '"say ""hi"""\n'
    )
    assert sql.get(done["ResultConfiguration"]["OutputLocation"] + ".metadata")
    found = sql.athena.get_query_results(QueryExecutionId=done["QueryExecutionId"])["ResultSet"]
    assert [column["Type"] for column in found["ResultSetMetadata"]["ColumnInfo"]] == [
        "varchar", "integer", "decimal", "double", "double", "boolean", "unknown", "date", "timestamp", "array", "map", "row",
        "varchar", "varchar",
    ]
    assert found["Rows"][0]["Data"][1] == {"VarCharValue": "_col1"}
    assert found["Rows"][1]["Data"][6] == {}
    assert found["Rows"][1]["Data"][12] == {"VarCharValue": ""}
    assert (done["StatementType"], done["SubstatementType"]) == ("DML", "SELECT")


def test_the_pipelines_tables_are_queried_by_any_name_of_theirs(sql):
    for name in ("shop.orders", "awsdatacatalog.shop.orders", '"awsdatacatalog"."shop"."orders"'):
        assert sql.rows(f"SELECT id, amount FROM {name} ORDER BY id") == [["o1", "1.50"], ["o2", None]]
    assert sql.rows("SELECT count(*) FROM orders", "shop") == [["2"]]
    assert sql.rows("SELECT amount + ? FROM orders WHERE id = ?", "shop", ExecutionParameters=["1", "'o1'"]) == [["2.50"]]


def test_a07_only_a_query_has_a_header_row(sql):
    rows = sql.athena.get_query_results(QueryExecutionId=sql.run("SHOW TABLES IN shop")["QueryExecutionId"])["ResultSet"]["Rows"]
    assert [row["Data"][0]["VarCharValue"] for row in rows] == ["orders", "orders_history"]
    done = sql.run("SHOW DATABASES")
    assert done["StatementType"] == "UTILITY"
    assert b"shop\n" in sql.get(done["ResultConfiguration"]["OutputLocation"])
    assert done["ResultConfiguration"]["OutputLocation"].endswith(".txt")


@pytest.mark.parametrize("text,told", [
    ("SELCT 1", "SYNTAX_ERROR: line 1:1: "),
    ("SELECT nope FROM shop.orders", "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved"),
    ("SELECT 1 FROM shop.nix", "TABLE_NOT_FOUND: line 1:15: Table 'nix' does not exist"),
    ("SELECT 1 FROM shop.orders AS o WHERE o.idd = '1'", "COLUMN_NOT_FOUND: line 1:40: "),
    ("SELECT foo(1)", "FUNCTION_NOT_FOUND: line 1:8: Function 'foo' not registered"),
    ("SELECT 'a' + 1", "TYPE_MISMATCH: "), ("SELECT 1 / 0", "DIVISION_BY_ZERO: "),
    ("SELECT cast('x' AS integer)", "INVALID_CAST_ARGUMENT: "), ("SELECT 1 FROM nodb.t", "TABLE_NOT_FOUND: line 1:15: "),
])
def test_failures_have_athenas_names_and_their_place(sql, text, told):
    assert sql.fails(text).startswith(told)


def test_a_token_gives_the_same_execution_again(sql):
    first = sql.start("SELECT 1", ClientRequestToken="t" * 32)
    assert sql.start("SELECT 1", ClientRequestToken="t" * 32) == first
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        sql.start("SELECT 2", ClientRequestToken="t" * 32)


def test_a_result_is_used_again_while_it_is_young(sql):
    first = sql.run("SELECT 41 + 1")
    again = sql.run("SELECT 41 + 1", ResultReuseConfiguration={"ResultReuseByAgeConfiguration": {"Enabled": True, "MaxAgeInMinutes": 5}})
    assert again["Statistics"]["ResultReuseInformation"]["ReusedPreviousResult"]
    assert again["ResultConfiguration"] == first["ResultConfiguration"]
    found = sql.athena.get_query_results(QueryExecutionId=again["QueryExecutionId"])["ResultSet"]["Rows"]
    assert found[1]["Data"] == [{"VarCharValue": "42"}]


def test_an_output_location_is_needed_and_a_workgroup_may_decide_it(sql):
    with pytest.raises(ClientError, match="No output location provided"):
        sql.athena.start_query_execution(QueryString="SELECT 1")
    place = {"ResultConfiguration": {"OutputLocation": "s3://results/group/"}}
    sql.athena.create_work_group(Name="g", Configuration=place)
    assert sql.run("SELECT 1", WorkGroup="g")["ResultConfiguration"]["OutputLocation"].startswith("s3://results/group/")
    sql.athena.update_work_group(WorkGroup="g", ConfigurationUpdates={"EnforceWorkGroupConfiguration": False})
    assert sql.run("SELECT 1", WorkGroup="g")["ResultConfiguration"]["OutputLocation"].startswith("s3://results/q/")
    listed = sql.athena.list_query_executions(WorkGroup="g")["QueryExecutionIds"]
    assert len(listed) == 2
    assert len(sql.athena.batch_get_query_execution(QueryExecutionIds=[*listed, "x"])["QueryExecutions"]) == 2
    assert [group["Name"] for group in sql.athena.list_work_groups()["WorkGroups"]] == ["g", "primary"]
    assert sql.fails("SELECT 1", ResultConfiguration={"OutputLocation": "s3://nowhere/"}).startswith("Unable to verify/create")
    sql.athena.delete_work_group(WorkGroup="g", RecursiveDeleteOption=True)
    with pytest.raises(ClientError, match="WorkGroup g is not found"):
        sql.athena.get_work_group(WorkGroup="g")


def test_results_come_in_pages(sql):
    id = sql.run("SELECT n FROM UNNEST(SEQUENCE(1, 25)) AS t(n)")["QueryExecutionId"]
    pages = [sql.athena.get_query_results(QueryExecutionId=id, MaxResults=10)]
    while token := pages[-1].get("NextToken"):
        pages.append(sql.athena.get_query_results(QueryExecutionId=id, MaxResults=10, NextToken=token))
    cells = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert cells == ["n", *map(str, range(1, 26))]
    assert [len(page["ResultSet"]["Rows"]) for page in pages] == [10, 10, 6]


def test_named_queries_and_prepared_statements_are_kept(sql):
    id = sql.athena.create_named_query(Name="n", Database="shop", QueryString="SELECT 1")["NamedQueryId"]
    assert sql.athena.get_named_query(NamedQueryId=id)["NamedQuery"]["QueryString"] == "SELECT 1"
    assert id in sql.athena.list_named_queries()["NamedQueryIds"]
    sql.athena.delete_named_query(NamedQueryId=id)
    sql.athena.create_prepared_statement(StatementName="add", WorkGroup="primary", QueryStatement="SELECT ? + 1")
    assert sql.rows("EXECUTE add USING 4") == [["5"]]
    assert sql.rows("EXECUTE add", ExecutionParameters=["5"]) == [["6"]]
    found = sql.athena.batch_get_prepared_statement(PreparedStatementNames=["add", "nix"], WorkGroup="primary")
    assert [one["QueryStatement"] for one in found["PreparedStatements"]] == ["SELECT ? + 1"]
    sql.run("PREPARE twice FROM SELECT 2 * ?")
    assert sql.rows("EXECUTE twice USING 4") == [["8"]]
    sql.run("DEALLOCATE PREPARE twice")
    assert sql.fails("EXECUTE twice USING 4").startswith("NOT_FOUND: ")


def test_the_catalog_is_glues(sql):
    assert sql.athena.list_data_catalogs()["DataCatalogsSummary"][0]["CatalogName"] == "AwsDataCatalog"
    assert "shop" in [d["Name"] for d in sql.athena.list_databases(CatalogName="AwsDataCatalog")["DatabaseList"]]
    found = sql.athena.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName="shop", TableName="orders")["TableMetadata"]
    assert [(column["Name"], column["Type"]) for column in found["Columns"]] == [("id", "string"), ("amount", "decimal(9,2)")]
    with pytest.raises(ClientError, match="MetadataException"):
        sql.athena.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName="shop", TableName="nix")


@pytest.mark.slow
def test_executions_outlive_the_process(tmp_path):
    with endpoint(tmp_path) as aws:
        client = Sql(aws)
        id = client.run("SELECT 7")["QueryExecutionId"]
        aws.gateway._cloud.documents.put("athena.live", "lost", {
            "Id": "lost", "State": "RUNNING", "Submitted": 0, "Query": "SELECT 1", "StatementType": "DML", "SubstatementType": "SELECT",
            "Output": "s3://results/x.csv", "Database": "", "Catalog": "", "WorkGroup": "primary", "Parameters": [], "Digest": "",
        })
    with endpoint(tmp_path) as aws:
        athena = aws.client("athena")
        assert athena.get_query_results(QueryExecutionId=id)["ResultSet"]["Rows"][1]["Data"] == [{"VarCharValue": "7"}]
        lost = athena.get_query_execution(QueryExecutionId="lost")["QueryExecution"]["Status"]
        assert (lost["State"], lost["AthenaError"]["Retryable"]) == ("FAILED", True)


def test_what_is_stopped_is_cancelled(sql):
    slow = "SELECT count(*) FROM UNNEST(SEQUENCE(1, 9000)) AS a(x) CROSS JOIN UNNEST(SEQUENCE(1, 9000)) AS b(y) WHERE x * y % 7 = 3"
    id = sql.start(slow)
    sql.athena.stop_query_execution(QueryExecutionId=id)
    assert sql.wait(id)["Status"]["State"] == "CANCELLED"


def test_csv_of_both_serdes(sql):
    columns = [("id", "int"), ("name", "string"), ("price", "decimal(9,2)"), ("day", "date")]
    sql.put("lazy/a.csv", b"id,name,price,day\n1,a,1.5,2026-01-02\n2,\\N,,\n3,short\n")
    sql.put("lazy/_hidden.csv", b"9,z\n")
    sql.put("lazy/b.csv.gz", gzip.compress(b"h\n4,d,2,2026-01-02,extra\n"))
    sql.declare("lazy", columns, LAZY, "s3://data/lazy/", serde_parameters={"field.delim": ","}, **{"skip.header.line.count": "1"})
    assert sql.rows("SELECT * FROM lazy ORDER BY id") == [
        ["1", "a", "1.50", "2026-01-02"], ["2", None, None, None], ["3", "short", None, None], ["4", "d", "2.00", "2026-01-02"]]
    sql.put("open/a.csv", b'1,"a, ""b""",18276\n2,,0\n')
    sql.declare("open", [("id", "int"), ("name", "string"), ("day", "date")], OPEN, "s3://data/open")
    assert sql.rows("SELECT * FROM db.open ORDER BY id") == [["1", 'a, "b"', "2020-01-15"], ["2", "", "1970-01-01"]]
    done = sql.run("SELECT count(*) FROM lazy")
    assert done["Statistics"]["DataScannedInBytes"] > 70
    sql.put("bad/a.csv", b"x,1\n")
    sql.declare("bad", [("id", "int"), ("n", "int")], OPEN, "s3://data/bad/")
    assert sql.fails("SELECT id FROM bad").startswith("HIVE_BAD_DATA: Error parsing field value for field 0")
    assert sql.rows("SELECT n FROM bad") == [["1"]]


def test_json_and_parquet(sql):
    sql.put("json/a.json", b'{"ID": 1, "tags": ["a", "b"], "of": {"x": 1.5}, "m": {"k": 2}}\n{"id": 2, "other": 1}\n')
    columns = [("id", "bigint"), ("tags", "array<string>"), ("of", "struct<x:double>"), ("m", "map<string,int>")]
    sql.declare("json", columns, JSON, "s3://data/json/")
    assert sql.rows("SELECT id, tags[1], of.x, m['k'], tags FROM json ORDER BY id") == [
        ["1", "a", "1.5", "2", "[a, b]"], ["2", None, None, None, None]]
    out = io.BytesIO()
    pq.write_table(pa.table({"B": ["x"], "a": pa.array([1], pa.int32())}), out)
    sql.put("parquet/a.parquet", out.getvalue())
    sql.declare("parquet", [("a", "bigint"), ("b", "string"), ("c", "int")], PARQUET, "s3://data/parquet/")
    assert sql.rows("SELECT * FROM parquet") == [["1", "x", None]]
    assert sql.rows("SELECT p.b, o.id FROM parquet p JOIN shop.orders o ON o.id = 'o1'") == [["x", "o1"]]


def test_partitions_are_read_only_where_the_query_can_select_them(sql):
    sql.declare("parts", [("n", "int")], LAZY, "s3://data/parts/", keys=[("dt", "string"), ("h", "int")])
    for day in ("2026-01-01", "2026-01-02"):
        for hour in (1, 2):
            sql.put(f"parts/dt={day}/h={hour}/a.csv", b"%d\n" % hour)
            sql.glue.create_partition(DatabaseName="db", TableName="parts", PartitionInput={
                "Values": [day, str(hour)], "StorageDescriptor": {
                    "Location": f"s3://data/parts/dt={day}/h={hour}/", "Columns": [{"Name": "n", "Type": "int"}],
                    "SerdeInfo": {"SerializationLibrary": LAZY}}})
    assert sql.rows("SELECT dt, h, n FROM parts WHERE dt = '2026-01-02' AND h > 1") == [["2026-01-02", "2", "2"]]
    done = sql.run("SELECT p.n FROM db.parts p WHERE p.dt = '2026-01-02' AND p.h > 1 AND p.n > 0")
    assert done["Statistics"]["DataScannedInBytes"] == 2
    assert sql.run("SELECT n FROM parts WHERE dt = '2026-01-02' OR n = 1")["Statistics"]["DataScannedInBytes"] == 8
    assert sql.rows("SHOW PARTITIONS parts")[0] == ["dt=2026-01-01/h=1"]


def test_g01_projected_partitions_need_no_listing(sql):
    sql.put("projected/dt=2026-01-02/a.csv", b"5\n")
    sql.declare("projected", [("n", "int")], LAZY, "s3://data/projected/", keys=[("dt", "string")], **{
        "projection.enabled": "true", "projection.dt.type": "date", "projection.dt.range": "2026-01-01,2026-01-09",
        "projection.dt.format": "yyyy-MM-dd"})
    assert sql.rows("SELECT count(*) FROM projected WHERE dt = '2026-01-02'") == [["1"]]
    assert sql.rows("SELECT n, dt FROM projected") == [["5", "2026-01-02"]]


def test_a04_a_query_over_its_workgroups_limit_does_not_run(sql):
    sql.put("big/dt=1/a.csv", b"1\n" * 6_000_000)
    sql.declare("big", [("n", "int")], LAZY, "s3://data/big/", keys=[("dt", "string")], **{
        "projection.enabled": "true", "projection.dt.type": "integer", "projection.dt.range": "1,2"})
    sql.athena.create_work_group(Name="small", Configuration={"BytesScannedCutoffPerQuery": 10_000_000})
    told = sql.fails("SELECT * FROM big", WorkGroup="small")
    assert "partition columns dt" in told
    assert sql.rows("SELECT count(*) FROM big WHERE dt = '2'", WorkGroup="small") == [["0"]]


def test_pyathena_works_unchanged(sql):
    place = {"s3_staging_dir": "s3://results/py/", "region_name": "us-east-1", "poll_interval": 0.005,
             "endpoint_url": sql.aws.address, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    with connect(**place) as connection:
        cursor = connection.cursor().execute("SELECT id, amount FROM shop.orders WHERE id = %(id)s", {"id": "o1"})
        assert cursor.fetchall() == [("o1", Decimal("1.50"))]
        assert [column[:2] for column in cursor.description] == [("id", "varchar"), ("amount", "decimal")]
        found = connection.cursor(DictCursor).execute("SELECT DATE '2026-01-31' AS day, NULL AS nothing").fetchall()
        assert found == [{"day": date(2026, 1, 31), "nothing": None}]
        assert connection.cursor().execute("SHOW TABLES IN shop").fetchall() == [("orders",), ("orders_history",)]
        with pytest.raises(OperationalError, match="COLUMN_NOT_FOUND"):
            connection.cursor().execute("SELECT nope FROM shop.orders")


def test_a_table_named_as_one_of_the_pipelines_is_not_mistaken_for_it(sql):
    sql.put("orders/a.csv", b"9\n")
    sql.declare("orders", [("id", "int")], LAZY, "s3://data/orders/")
    assert sql.rows("SELECT a.id, b.id FROM db.orders a JOIN shop.orders b ON b.id = 'o1'") == [["9", "o1"]]
    assert "hides the table" in sql.fails("WITH orders AS (SELECT 1 AS x) SELECT * FROM shop.orders")


def test_a_database_may_be_quoted_in_the_context(sql):
    assert sql.rows("SELECT count(*) FROM orders", "`shop`") == [["2"]]
