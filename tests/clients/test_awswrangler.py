"""awswrangler: pandas on S3 and Glue."""

import pytest

from tests.clients.conftest import python_with

pytestmark = pytest.mark.slow

SCRIPT = """
import awswrangler as wr
import boto3
import pandas as pd

boto3.client("s3").create_bucket(Bucket="lake")
frame = pd.DataFrame({"id": [1, 2, 3], "who": ["ann", None, ""], "day": ["2026-01-01", "2026-01-01", "2026-01-02"],
                      "at": pd.to_datetime(["2026-01-01 10:00:00.5", None, "2026-01-02 00:00:00.0"])})
wr.catalog.create_database("market")
made = wr.s3.to_parquet(frame, "s3://lake/sale/", dataset=True, database="market", table="sale", partition_cols=["day"], mode="overwrite")
assert sorted(made["partitions_values"].values()) == [["2026-01-01"], ["2026-01-02"]], made
wr.s3.to_parquet(frame.assign(id=frame.id + 3, extra=1.5), "s3://lake/sale/", dataset=True, database="market", table="sale",
                 partition_cols=["day"], mode="append", schema_evolution=True)

back = wr.s3.read_parquet("s3://lake/sale/", dataset=True).sort_values("id")
assert list(back.id) == [1, 2, 3, 4, 5, 6] and list(back.who)[2] == "" and pd.isna(list(back.who)[1]), back
only = wr.s3.read_parquet("s3://lake/sale/", dataset=True, partition_filter=lambda keys: keys["day"] == "2026-01-02")
assert sorted(only.id) == [3, 6], only
table = wr.s3.read_parquet_table(database="market", table="sale", validate_schema=False)
assert len(table) == 6 and "extra" in table.columns

types = wr.catalog.get_table_types("market", "sale")
assert types == {"id": "bigint", "who": "string", "at": "timestamp", "extra": "double", "day": "string"}, types
assert wr.catalog.does_table_exist("market", "sale")
assert list(wr.catalog.databases()["Database"]) == ["market", "shop"], wr.catalog.databases()
assert list(wr.catalog.tables(database="market")["Table"]) == ["sale"]
found = wr.catalog.get_partitions("market", "sale", expression="day = '2026-01-02'")
assert found == {"s3://lake/sale/day=2026-01-02/": ["2026-01-02"]}, found
question = "SELECT id, who, day FROM sale WHERE id > :least ORDER BY id"
for n, how in enumerate(({"ctas_approach": True}, {"ctas_approach": False}, {"ctas_approach": False, "unload_approach": True})):
    asked = wr.athena.read_sql_query(question, database="market", params={"least": 4}, s3_output=f"s3://lake/results/{n}/", **how)
    assert sorted(map(int, asked.id)) == [5, 6] and set(map(str, asked.day)) == {"2026-01-01", "2026-01-02"}, (how, asked)
wr.s3.to_parquet(frame, "s3://lake/sale/", dataset=True, database="market", table="sale", partition_cols=["day"], mode="overwrite_partitions")
assert len(wr.s3.read_parquet("s3://lake/sale/", dataset=True)) == 3
wr.s3.to_csv(frame, "s3://lake/csv/", dataset=True, database="market", table="as_csv", index=False)
assert list(wr.s3.read_csv("s3://lake/csv/", dataset=True, names=list(frame.columns), header=None).id) == [1, 2, 3]
assert wr.catalog.delete_table_if_exists("market", "as_csv")
ice = frame[["id", "who"]]
kept = {"database": "market", "table": "ice", "temp_path": "s3://lake/temp/", "s3_output": "s3://lake/results/ice/", "keep_files": False}
wr.athena.to_iceberg(ice, table_location="s3://lake/ice/", partition_cols=["bucket(2, id)"], **kept)
wr.athena.to_iceberg(pd.DataFrame({"id": [3, 4], "who": ["new", "dan"]}), merge_cols=["id"], **kept)
wr.athena.delete_from_iceberg_table(pd.DataFrame({"id": [2]}), merge_cols=["id"], **kept)
asked = wr.athena.read_sql_query("SELECT id, who FROM ice ORDER BY id", database="market", ctas_approach=False, s3_output="s3://lake/results/ice/")
assert list(asked.id) == [1, 3, 4] and list(asked.who) == ["ann", "new", "dan"], asked
wr.athena.to_iceberg(ice.assign(extra=1.5), mode="overwrite", schema_evolution=True, **kept)
asked = wr.athena.read_sql_query("SELECT * FROM ice", database="market", ctas_approach=False, s3_output="s3://lake/results/ice/")
assert sorted(asked.id) == [1, 2, 3] and set(asked.extra) == {1.5}, asked
wr.catalog.delete_table_if_exists("market", "ice")
wr.s3.delete_objects("s3://lake/")
assert wr.s3.list_objects("s3://lake/") == []
wr.catalog.delete_database("market")
print("done")
"""


def test_frames_go_to_s3_with_their_tables_in_glue(clients):
    python = python_with("awswrangler", "awswrangler>=3.17") / "python"
    (clients.folder / "script.py").write_text(SCRIPT)
    assert clients.run(python, "script.py").strip() == "done"
