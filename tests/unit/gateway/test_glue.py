"""The Glue Data Catalog as boto3 sees it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from caudal import Pipeline
from tests.unit.gateway.conftest import endpoint


def table(name="sale", keys=(), **more):
    return {
        "Name": name, "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in keys], "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": {"Columns": [{"Name": "order_id", "Type": "string"}], "Location": "s3://lake/sale/"}, **more,
    }


@pytest.fixture
def glue(aws):
    client = aws.client("glue")
    client.create_database(DatabaseInput={"Name": "Raw", "Description": "as it came"})
    return client


def refused(call, **members):
    with pytest.raises(ClientError) as error:
        call(**members)
    return error.value.response["Error"]["Code"]


def test_databases_are_lower_case_and_can_be_changed_and_dropped(glue):
    assert glue.get_database(Name="raw")["Database"]["Description"] == "as it came"
    glue.update_database(Name="raw", DatabaseInput={"Name": "raw", "Description": "new"})
    assert glue.get_database(Name="RAW")["Database"]["Description"] == "new"
    assert [d["Name"] for d in glue.get_databases()["DatabaseList"]] == ["raw", "shop"]
    assert refused(glue.create_database, DatabaseInput={"Name": "raw"}) == "AlreadyExistsException"
    glue.create_table(DatabaseName="raw", TableInput=table())
    glue.delete_database(Name="raw")
    assert refused(glue.get_table, DatabaseName="raw", Name="sale") == "EntityNotFoundException"


def test_a_table_comes_back_as_it_was_given(glue):
    given = table(Parameters={"classification": "csv"}, LastAccessTime=datetime(2026, 1, 1, tzinfo=UTC))
    glue.create_table(DatabaseName="raw", TableInput=given)
    found = glue.get_table(DatabaseName="raw", Name="SALE")["Table"]
    assert {name: found[name] for name in given} == given
    assert (found["VersionId"], found["CatalogId"], found["DatabaseName"]) == ("0", "000000000000", "raw")


def test_each_update_is_a_version_and_a_stale_one_is_refused(glue):
    glue.create_table(DatabaseName="raw", TableInput=table())
    glue.update_table(DatabaseName="raw", TableInput=table(Description="1"), VersionId="0")
    assert refused(glue.update_table, DatabaseName="raw", TableInput=table(Description="2"), VersionId="0") == "ConcurrentModificationException"
    glue.update_table(DatabaseName="raw", TableInput=table(Description="2"), SkipArchive=True)
    versions = glue.get_table_versions(DatabaseName="raw", TableName="sale")["TableVersions"]
    assert [(v["VersionId"], v["Table"].get("Description")) for v in versions] == [("2", "2"), ("0", None)]
    glue.delete_table_version(DatabaseName="raw", TableName="sale", VersionId="0")
    assert len(glue.get_table_versions(DatabaseName="raw", TableName="sale")["TableVersions"]) == 1


def test_of_updates_that_follow_one_version_one_wins(glue, aws):
    glue.create_table(DatabaseName="raw", TableInput=table())

    def update(who):
        try:
            glue.update_table(DatabaseName="raw", TableInput=table(Description=str(who)), VersionId="0")
            return who
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConcurrentModificationException"

    with ThreadPoolExecutor(8) as pool:
        won = [who for who in pool.map(update, range(16)) if who is not None]
    assert len(won) == 1
    assert glue.get_table(DatabaseName="raw", Name="sale")["Table"]["Description"] == str(won[0])


def test_tables_are_listed_by_pattern_and_page(glue):
    for name in ("sale", "sale_csv", "view"):
        glue.create_table(DatabaseName="raw", TableInput=table(name))
    assert [t["Name"] for t in glue.get_tables(DatabaseName="raw", Expression="sale*")["TableList"]] == ["sale", "sale_csv"]
    pages = glue.get_paginator("get_tables").paginate(DatabaseName="raw", PaginationConfig={"PageSize": 2})
    assert [[t["Name"] for t in page["TableList"]] for page in pages] == [["sale", "sale_csv"], ["view"]]
    assert glue.batch_delete_table(DatabaseName="raw", TablesToDelete=["sale", "none"])["Errors"][0]["TableName"] == "none"


KEYS = (("year", "int"), ("country", "string"))
PLACES = [("2024", "de"), ("2025", "at"), ("2025", "de"), ("2026", "es")]


@pytest.fixture
def partitioned(glue):
    glue.create_table(DatabaseName="raw", TableInput=table(keys=KEYS))
    given = [{"Values": list(p), "StorageDescriptor": {"Location": f"s3://lake/{p}", "Columns": []}} for p in PLACES]
    assert glue.batch_create_partition(DatabaseName="raw", TableName="sale", PartitionInputList=given)["Errors"] == []
    return glue


@pytest.mark.parametrize(("expression", "expected"), [
    ("", PLACES),
    ("year = 2025", PLACES[1:3]),
    ("year = '2025'", PLACES[1:3]),
    ("year > 2024 AND country = 'de'", PLACES[2:3]),
    ("year >= 2025 or country in ('de')", PLACES),
    ("(year < 2025) OR (country LIKE 'e%')", [PLACES[0], PLACES[3]]),
    ("year BETWEEN 2025 AND 2026 AND NOT country = 'de'", [PLACES[1], PLACES[3]]),
    ("country <> 'de'", [PLACES[1], PLACES[3]]),
    ("year in (2024, 2026)", [PLACES[0], PLACES[3]]),
    ("year = -2025", []),
])
def test_partitions_are_filtered(partitioned, expression, expected):
    found = partitioned.get_partitions(DatabaseName="raw", TableName="sale", Expression=expression)["Partitions"]
    assert [tuple(p["Values"]) for p in found] == expected


@pytest.mark.parametrize("expression", ["year =", "colour = 1", "year = country + 1", "year = (SELECT 1)", "lower(country) = 'a'", "year = 'x'"])
def test_a_filter_that_cannot_be_is_refused(partitioned, expression):
    assert refused(partitioned.get_partitions, DatabaseName="raw", TableName="sale", Expression=expression) == "InvalidInputException"


def test_partitions_are_paged_split_changed_and_dropped(partitioned):
    pages = partitioned.get_paginator("get_partitions").paginate(DatabaseName="raw", TableName="sale", PaginationConfig={"PageSize": 3})
    assert [len(page["Partitions"]) for page in pages] == [3, 1]
    segments = [
        partitioned.get_partitions(DatabaseName="raw", TableName="sale", Segment={"SegmentNumber": n, "TotalSegments": 3})["Partitions"]
        for n in range(3)
    ]
    assert sorted(tuple(p["Values"]) for part in segments for p in part) == PLACES
    again = partitioned.batch_create_partition(DatabaseName="raw", TableName="sale", PartitionInputList=[{"Values": ["2024", "de"]}])
    assert again["Errors"][0]["ErrorDetail"]["ErrorCode"] == "AlreadyExistsException"
    partitioned.update_partition(
        DatabaseName="raw", TableName="sale", PartitionValueList=["2024", "de"], PartitionInput={"Values": ["2023", "de"], "Parameters": {"a": "1"}}
    )
    assert partitioned.get_partition(DatabaseName="raw", TableName="sale", PartitionValues=["2023", "de"])["Partition"]["Parameters"] == {"a": "1"}
    partitioned.batch_delete_partition(DatabaseName="raw", TableName="sale", PartitionsToDelete=[{"Values": list(p)} for p in PLACES[1:]])
    assert len(partitioned.get_partitions(DatabaseName="raw", TableName="sale")["Partitions"]) == 1
    assert refused(partitioned.create_partition, DatabaseName="raw", TableName="sale", PartitionInput={"Values": ["1"]}) == "InvalidInputException"


def test_the_pipelines_tables_are_there_and_cannot_be_changed(tmp_path):
    pipeline = Pipeline("corner")

    @pipeline.table(key=("order_id",))
    class Purchase:
        order_id: str
        quantity: int

    with endpoint(tmp_path, pipeline) as aws:
        glue, catalog = aws.client("glue"), aws.stages.catalog
        catalog.begin_shadow("purchase", pipeline.tables["purchase"].lake["purchase"], "")  # `caudal rebuild` is at work
        assert [t["Name"] for t in glue.get_tables(DatabaseName="corner")["TableList"]] == ["purchase", "purchase_history"]
        assert refused(glue.get_table, DatabaseName="corner", Name="purchase__shadow") == "EntityNotFoundException"
        found = glue.get_table(DatabaseName="corner", Name="purchase")["Table"]
        assert found["StorageDescriptor"]["Columns"] == [{"Name": "order_id", "Type": "string"}, {"Name": "quantity", "Type": "bigint"}]
        assert refused(glue.delete_table, DatabaseName="corner", Name="purchase") == "InvalidInputException"
        assert refused(glue.create_table, DatabaseName="corner", TableInput=table()) == "InvalidInputException"


def test_it_is_all_there_after_a_restart(tmp_path):
    with endpoint(tmp_path) as aws:
        aws.client("glue").create_database(DatabaseInput={"Name": "raw"})
        aws.client("glue").create_table(DatabaseName="raw", TableInput=table())
    with endpoint(tmp_path) as aws:
        assert aws.client("glue").get_table(DatabaseName="raw", Name="sale")["Table"]["Name"] == "sale"
