"""DynamoDB's tables as boto3 sees them: keys, indexes, queries, scans, TTL, tags, and the pipeline's own tables."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from caudal import Pipeline
from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.dynamo import index, keyed, refused, schema, told

ORDERS = {
    **keyed(customer="S", placed="S", status="S", amount="N"),
    "LocalSecondaryIndexes": [index("by_amount", "customer", "amount", ProjectionType="KEYS_ONLY")],
    "GlobalSecondaryIndexes": [index("by_status", "status", "placed"), index("by_only_status", "status", ProjectionType="INCLUDE", NonKeyAttributes=["note"])],
}


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("aws")) as aws:
        db = aws.client("dynamodb")
        db.create_table(TableName="orders", **ORDERS)
        for n in range(30):
            db.put_item(TableName="orders", Item={
                "customer": {"S": f"c{n % 2}"}, "placed": {"S": f"2026-01-{n + 1:02}"}, "status": {"S": "open" if n % 3 else "done"},
                "amount": {"N": str(n * 2)}, "note": {"S": f"note {n}"}, "other": {"N": str(n)}})
        db.put_item(TableName="orders", Item={"customer": {"S": "c0"}, "placed": {"S": "later"}, "note": {"S": "in no index"}})
        yield db


def query(db, text, index=None, names=None, **more):
    values = {f":{name}": more.pop(name) for name in list(more) if len(name) == 1}
    if index:
        more["IndexName"] = index
    if names:
        more["ExpressionAttributeNames"] = names
    return db.query(TableName="orders", KeyConditionExpression=text, ExpressionAttributeValues=values, **more)


def notes(answer):
    return [int(item["other"]["N"]) for item in answer["Items"] if "other" in item]


@pytest.mark.parametrize("text,values,found", [
    ("customer = :c", {}, range(0, 30, 2)), ("customer = :c AND placed = :a", {"a": {"S": "2026-01-03"}}, [2]),
    ("customer = :c AND placed < :a", {"a": {"S": "2026-01-05"}}, [0, 2]), ("customer = :c AND placed <= :a", {"a": {"S": "2026-01-05"}}, [0, 2, 4]),
    ("placed > :a AND customer = :c", {"a": {"S": "2026-01-27"}}, [28]), (":a <= placed AND (customer = :c)", {"a": {"S": "2026-01-27"}}, [26, 28]),
    ("customer = :c AND placed BETWEEN :a AND :b", {"a": {"S": "2026-01-05"}, "b": {"S": "2026-01-07"}}, [4, 6]),
    ("customer = :c AND begins_with(placed, :a)", {"a": {"S": "2026-01-2"}}, [20, 22, 24, 26, 28]),
])
def test_a_query_finds_a_range_of_sort_keys(orders, text, values, found):
    got = query(orders, text, c={"S": "c0"}, **values)
    assert notes(got) == list(found)
    back = query(orders, text, c={"S": "c0"}, ScanIndexForward=False, **values)
    assert notes(back) == list(found)[::-1]


@pytest.mark.parametrize("text,message", [
    ("amount = :c", "Query condition missed key schema element: customer"), ("customer > :c", "Query key condition not supported"),
    ("customer = :c OR customer = :c", "Invalid operator used in KeyConditionExpression: OR"),
    ("customer = :c AND note = :c", "Query condition missed key schema element: placed"), ("customer = :n", "Condition parameter type does not match schema type"),
    ("customer.x = :c", "cannot have conditions on nested attributes"), ("customer = :c AND customer = :c", "must only contain one condition per key"),
])
def test_a_query_without_its_key_is_refused(orders, text, message):
    more = {"n": {"N": "1"}} if ":n" in text else {"c": {"S": "c0"}}
    arguments = {"KeyConditionExpression": text, "ExpressionAttributeValues": {f":{name}": value for name, value in more.items()}}
    assert message in told(orders.query, TableName="orders", **arguments)


def test_indexes_hold_the_items_that_have_their_key_and_show_what_they_project(orders):
    done = query(orders, "#s = :s", "by_status", {"#s": "status"}, s={"S": "done"})
    assert notes(done) == list(range(0, 30, 3))
    only = query(orders, "#s = :s", "by_only_status", {"#s": "status"}, s={"S": "done"}, Limit=1)["Items"][0]
    assert sorted(only) == ["customer", "note", "placed", "status"]
    local = query(orders, "customer = :c AND amount >= :t", "by_amount", c={"S": "c0"}, t={"N": "50"})
    assert [item["amount"]["N"] for item in local["Items"]] == ["52", "56"]
    assert sorted(local["Items"][0]) == ["amount", "customer", "placed"]
    all_of_it = query(orders, "customer = :c", "by_amount", c={"S": "c0"}, Select="ALL_ATTRIBUTES", Limit=1)["Items"][0]
    assert "note" in all_of_it
    assert "does not have the specified index" in told(query, db=orders, text="customer = :c", index="nowhere", c={"S": "c0"})
    assert "Consistent reads are not supported on global secondary indexes" in told(
        query, db=orders, text="#s = :s", index="by_status", names={"#s": "status"}, s={"S": "x"}, ConsistentRead=True)


@pytest.mark.parametrize("which", [None, "by_status"])
def test_pages_go_on_where_the_last_ended(orders, which):
    text, names, values = ("customer = :c", None, {"c": {"S": "c0"}}) if which is None else ("#s = :c", {"#s": "status"}, {"c": {"S": "open"}})
    found, start, pages = [], {}, 0
    while True:
        page = query(orders, text, which, names, Limit=4, **values, **start)
        found += page["Items"]
        pages += 1
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert found == query(orders, text, which, names, **values)["Items"]
    assert pages > 3
    assert told(query, db=orders, text=text, index=which, names=names, **values, ExclusiveStartKey={"customer": {"S": "c0"}}) == "The provided starting key is invalid"


def test_a_filter_sees_items_after_the_limit_and_counts_them(orders):
    page = query(orders, "customer = :c", c={"S": "c0"}, o={"N": "20"}, Limit=14, FilterExpression="#o >= :o", names={"#o": "other"})
    assert (notes(page), page["Count"], page["ScannedCount"]) == ([20, 22, 24, 26], 4, 14)
    assert "Filter Expression can only contain non-primary key attributes: Primary key attribute: placed" in told(
        query, db=orders, text="customer = :c", c={"S": "c0"}, FilterExpression="placed = :c")


@pytest.mark.parametrize("which,key,names", [("by_amount", "customer = :c", {}), ("by_only_status", "#s = :c", {"#s": "status"})])
def test_what_an_index_does_not_hold_a_query_may_not_filter_by_and_a_scan_does_not_see(orders, which, key, names):
    text, values = "#o = :c AND attribute_exists(#o) AND extra = :c", {"c": {"S": "c0"}}
    message = f"One or more parameter values were invalid: Secondary index {which} does not project one or more filter attributes: [extra, other]"
    assert told(query, db=orders, text=key, index=which, names={**names, "#o": "other"}, FilterExpression=text, **values) == message
    found = orders.scan(TableName="orders", IndexName=which, FilterExpression="attribute_exists(#o)", ExpressionAttributeNames={"#o": "other"})
    assert (found["Count"], found["ScannedCount"]) == (0, 30)


def test_segments_of_a_scan_are_all_of_it_once(orders):
    def segment(n):
        return orders.scan(TableName="orders", Segment=n, TotalSegments=3)["Items"]

    with ThreadPoolExecutor(3) as pool:
        found = [item for part in pool.map(segment, range(3)) for item in part]
    assert sorted(map(str, found)) == sorted(map(str, orders.scan(TableName="orders")["Items"]))
    assert len(found) == 31
    assert orders.scan(TableName="orders", IndexName="by_status", Select="COUNT")["Count"] == 30
    assert "must be less than parameter TotalSegments" in told(orders.scan, TableName="orders", Segment=3, TotalSegments=3)


def test_an_item_that_does_not_fit_an_index_is_refused(orders):
    item = {"customer": {"S": "x"}, "placed": {"S": "x"}}
    assert "Type mismatch for Index Key status Expected: S Actual: N IndexName: by_status" in told(
        orders.put_item, TableName="orders", Item={**item, "status": {"N": "1"}})
    assert "cannot contain an empty string value. IndexName: by_status, IndexKey: status" in told(
        orders.put_item, TableName="orders", Item={**item, "status": {"S": ""}})
    assert "Type mismatch for Index Key" in told(
        orders.update_item, TableName="orders", Key=item, UpdateExpression="SET amount = :t",
        ExpressionAttributeValues={":t": {"S": "x"}})


def test_a_table_is_described_as_it_was_made(orders):
    table = orders.describe_table(TableName="orders")["Table"]
    assert (table["TableStatus"], table["KeySchema"]) == ("ACTIVE", schema("customer", "placed"))
    assert table["TableArn"] == "arn:aws:dynamodb:us-east-1:000000000000:table/orders"
    assert {each["IndexName"]: each["IndexStatus"] for each in table["GlobalSecondaryIndexes"]} == {"by_status": "ACTIVE", "by_only_status": "ACTIVE"}
    assert table["LocalSecondaryIndexes"][0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert orders.get_item(TableName=table["TableArn"], Key={"customer": {"S": "c0"}, "placed": {"S": "later"}})["Item"]


def test_a_page_is_a_megabyte(aws):
    db = aws.client("dynamodb")
    db.create_table(TableName="big", **keyed(id="S"))
    for n in range(12):
        db.put_item(TableName="big", Item={"id": {"S": str(n)}, "data": {"S": "x" * 300_000}})
    pages = list(db.get_paginator("scan").paginate(TableName="big"))
    assert [page["Count"] for page in pages] == [4, 4, 4]
    got = db.batch_get_item(RequestItems={"big": {"Keys": [{"id": {"S": str(n)}} for n in range(12)]}})
    assert len(got["Responses"]["big"]) == 12


def test_tables_come_and_go(aws):
    db = aws.client("dynamodb")
    db.create_table(TableName="one", **keyed(id="S"), Tags=[{"Key": "team", "Value": "shop"}], DeletionProtectionEnabled=True)
    refused(db.create_table, "ResourceInUseException", TableName="one", **keyed(id="S"))
    db.create_table(TableName="two", **keyed(id="N"))
    assert db.list_tables(Limit=1)["TableNames"] == ["one"]
    assert list(db.get_paginator("list_tables").paginate().search("TableNames[]")) == ["one", "two"]
    arn = db.describe_table(TableName="one")["Table"]["TableArn"]
    db.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    db.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert db.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "test"}]
    assert "protected against deletion" in told(db.delete_table, TableName="one")
    db.update_table(TableName="one", DeletionProtectionEnabled=False)
    db.put_item(TableName="one", Item={"id": {"S": "a"}})
    assert db.delete_table(TableName="one")["TableDescription"]["TableStatus"] == "DELETING"
    refused(db.describe_table, "ResourceNotFoundException", TableName="one")
    db.create_table(TableName="one", **keyed(id="N"))
    assert db.scan(TableName="one")["Items"] == []


def test_a_global_index_is_added_to_the_items_there_are_and_taken_away(aws):
    db = aws.client("dynamodb")
    db.create_table(TableName="stock", **keyed(sku="S"))
    for n in range(4):
        db.put_item(TableName="stock", Item={"sku": {"S": str(n)}, "kind": {"S": "ab"[n % 2]}})
    made = {"Create": index("by_kind", "kind")}
    made["Create"]["KeySchema"] = schema("kind")
    answer = db.update_table(TableName="stock", AttributeDefinitions=[{"AttributeName": "kind", "AttributeType": "S"}], GlobalSecondaryIndexUpdates=[made])
    assert len(answer["TableDescription"]["AttributeDefinitions"]) == 2
    arguments = {"TableName": "stock", "IndexName": "by_kind", "KeyConditionExpression": "kind = :k", "ExpressionAttributeValues": {":k": {"S": "a"}}}
    assert [item["sku"]["S"] for item in db.query(**arguments)["Items"]] == ["0", "2"]
    db.update_table(TableName="stock", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by_kind"}}])
    assert "does not have the specified index" in told(db.query, **arguments)


@pytest.mark.parametrize("change,message", [
    ({"KeySchema": schema("other")}, "Some index key attributes are not defined in AttributeDefinitions"),
    ({"AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("id", "more")]}, "Some AttributeDefinitions are not used"),
    ({"TableName": "no"}, "at least 3 characters long"), ({"TableName": "a/b/c"}, "must consist of the characters"),
    ({"LocalSecondaryIndexes": [index("ix1", "id", "id")]}, "have the same name"), ({"GlobalSecondaryIndexes": []}, "List of GSIs is empty"),
    ({"GlobalSecondaryIndexes": [index("ix1", "id"), index("ix1", "id")]}, "Duplicate index name: ix1"),
    ({"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}, "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified"),
    ({"StreamSpecification": {"StreamEnabled": True}}, "StreamViewType is required"),
    ({"SSESpecification": {"Enabled": True}}, "does not serve the option SSESpecification"),
], ids=lambda given: str(given)[:40])
def test_a_table_that_cannot_be_is_refused(orders, change, message):
    assert message in told(orders.create_table, **{"TableName": "bad", **keyed(id="S"), **change})
    assert "bad" not in orders.list_tables()["TableNames"]


def test_all_is_there_after_a_restart(tmp_path):
    with endpoint(tmp_path) as aws:
        db = aws.client("dynamodb")
        db.create_table(TableName="orders", **ORDERS)
        db.put_item(TableName="orders", Item={"customer": {"S": "c"}, "placed": {"S": "a"}, "status": {"S": "open"}})
        db.update_time_to_live(TableName="orders", TimeToLiveSpecification={"AttributeName": "until", "Enabled": True})
        described = db.describe_table(TableName="orders")["Table"]
    with endpoint(tmp_path) as aws:
        db = aws.client("dynamodb")
        again = db.describe_table(TableName="orders")["Table"]
        assert {**again, "ItemCount": 0, "TableSizeBytes": 0} == {**described, "ItemCount": 0, "TableSizeBytes": 0}
        assert query(db, "#s = :s", "by_status", {"#s": "status"}, s={"S": "open"})["Count"] == 1
        assert db.describe_time_to_live(TableName="orders")["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}


def test_the_pipeline_s_tables_are_tables_here_too(tmp_path):
    pipeline = Pipeline("shop")

    @pipeline.table(key=["order_id"])
    class Order:
        order_id: int
        note: str | None = None

    with endpoint(tmp_path, pipeline) as aws:
        db = aws.client("dynamodb")
        assert db.list_tables()["TableNames"] == ["order"]
        db.put_item(TableName="order", Item={"order_id": {"N": "7"}, "note": {"S": "hi"}})
        assert aws.stages.store.get("order", [7]) == {"order_id": 7, "note": "hi"}
        aws.stages.store.put("order", {"order_id": 8})
        assert db.scan(TableName="order")["Count"] == 2
        assert "order_id expected: N actual: S" in told(db.put_item, TableName="order", Item={"order_id": {"S": "7"}})
        assert "is a table of the pipeline" in told(db.delete_table, TableName="order")
        refused(db.create_table, "ResourceInUseException", TableName="order", **keyed(id="S"))


def test_writers_of_one_counter_lose_no_count(aws):
    db = aws.client("dynamodb")
    db.create_table(TableName="count", **keyed(id="S"))

    def add():
        for _ in range(20):
            db.update_item(TableName="count", Key={"id": {"S": "a"}}, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.get_item(TableName="count", Key={"id": {"S": "a"}})["Item"]["n"] == {"N": "80"}


UNITS, MORE = ({"ReadCapacityUnits": n, "WriteCapacityUnits": n} for n in (1, 2))


def test_a_table_goes_over_to_provisioned_throughput_and_back(aws):
    db = aws.client("dynamodb")
    db.create_table(TableName="units", **keyed(id="S", n="N", g="S"), GlobalSecondaryIndexes=[index("by_g", "g")])

    def change(**given):
        return db.update_table(TableName="units", **given)["TableDescription"]

    assert "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST" in told(change, ProvisionedThroughput=UNITS)
    assert told(change, BillingMode="PROVISIONED") == "One or more parameter values were invalid: ProvisionedThroughput must be specified when BillingMode is PROVISIONED"
    assert told(change, BillingMode="PROVISIONED", ProvisionedThroughput=UNITS) == "One or more parameter values were invalid: ProvisionedThroughput must be specified for index: by_g"
    update = {"Update": {"IndexName": "by_g", "ProvisionedThroughput": MORE}}
    made = change(BillingMode="PROVISIONED", ProvisionedThroughput=UNITS, GlobalSecondaryIndexUpdates=[update])
    assert [each["ProvisionedThroughput"]["WriteCapacityUnits"] for each in (made, made["GlobalSecondaryIndexes"][0])] == [1, 2]
    assert "BillingModeSummary" not in made
    assert told(change, ProvisionedThroughput=UNITS) == (
        "The provisioned throughput for the table will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for the table: 1. "
        "Requested ReadCapacityUnits: 1. Current WriteCapacityUnits provisioned for the table: 1. Requested WriteCapacityUnits: 1. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.")
    assert change(ProvisionedThroughput=MORE)["ProvisionedThroughput"]["ReadCapacityUnits"] == 2
    made = change(BillingMode="PAY_PER_REQUEST")
    assert [each["ProvisionedThroughput"]["WriteCapacityUnits"] for each in (made, made["GlobalSecondaryIndexes"][0])] == [0, 0]
    assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_a_change_of_a_table_that_is_none_is_refused_in_aws_words(aws):
    db = aws.client("dynamodb")
    db.create_table(TableName="kept", **keyed(id="S"))
    gone = [{"Delete": {"IndexName": name}} for name in ("one", "two")]
    assert told(db.update_table, TableName="kept").startswith("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates")
    assert "GlobalSecondaryIndexUpdate.Delete must not be null" in told(db.update_table, TableName="kept", GlobalSecondaryIndexUpdates=[{}])
    assert "Only one global secondary index update per index" in told(db.update_table, TableName="kept", GlobalSecondaryIndexUpdates=gone[:1] * 2)
    assert "Only 1 online index can be created or deleted" in refused(
        db.update_table, "LimitExceededException", TableName="kept", GlobalSecondaryIndexUpdates=gone)["Error"]["Message"]
    told_all = refused(db.update_table, "ResourceNotFoundException", TableName="nowhere", DeletionProtectionEnabled=True)
    assert told_all["Error"]["Message"] == "Requested resource not found: Table: nowhere not found"
