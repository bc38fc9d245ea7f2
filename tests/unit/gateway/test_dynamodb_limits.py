"""DynamoDB within AWS's quotas: what a provisioned table does not take any more, and how each operation says so."""

from types import SimpleNamespace

import pytest
from botocore.config import Config as ClientConfig
from msgspec.structs import replace

from caudal.gateway.dynamodb.actions import put
from caudal.gateway.dynamodb.tables import Index, Table
from caudal.gateway.dynamodb.throughput import Throughput
from caudal.gateway.faults import AwsError
from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.dynamo import index, keyed, refused, told

EXCEEDED = "ProvisionedThroughputExceededException"
OF_TABLE = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API"
OF_INDEX = ("The level of configured provisioned throughput for one or more global secondary indexes of the table was exceeded. Consider increasing "
            "your provisioning level for the under-provisioned global secondary indexes with the UpdateTable API")


def units(read, write):
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def provisioned(read, write, **types):
    return {**keyed(**types), "BillingMode": "PROVISIONED", "ProvisionedThroughput": units(read, write)}


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("aws"), limits=True) as aws:
        yield aws


@pytest.fixture
def db(limited):
    client = limited.client("dynamodb")
    client.create_table(TableName="small", **provisioned(1, 1, id="S"))
    client.create_table(TableName="wide", **provisioned(1000, 1000, id="S"))
    yield client
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)


def item(id="a", **more):
    return {"id": {"S": id}, **more}


def puts(*ids):
    return [{"PutRequest": {"Item": item(id)}} for id in ids]


def spend(db, table="small", **more):
    """Use up what a table has to write, for a while."""
    db.put_item(TableName=table, Item=item("spent", s={"S": "x" * 30_000}, **more))


def test_a_write_and_a_read_too_many_are_refused(db):
    spend(db)
    for call, given in ((db.put_item, {"Item": item()}), (db.delete_item, {"Key": item()}), (db.update_item, {"Key": item()})):
        assert refused(call, EXCEEDED, TableName="small", **given)["Error"]["Message"] == OF_TABLE
    assert db.get_item(TableName="small", Key=item("spent"), ConsistentRead=True)["Item"]["id"] == {"S": "spent"}  # takes 8 units
    for call, given in ((db.get_item, {"Key": item()}), (db.scan, {}), (db.query, {
            "KeyConditionExpression": "id = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}})):
        assert refused(call, EXCEEDED, TableName="small", **given)["Error"]["Message"] == OF_TABLE
    db.put_item(TableName="wide", Item=item())  # each table has its own


def test_a_condition_that_does_not_hold_takes_units_too(db):
    db.put_item(TableName="wide", Item=item(s={"S": "x" * 300_000}))
    db.update_table(TableName="wide", ProvisionedThroughput=units(1, 1))  # with 300 left, kept of before
    unless = {"TableName": "wide", "Key": item(), "ConditionExpression": "attribute_not_exists(id)"}
    for _ in range(2):
        refused(db.delete_item, "ConditionalCheckFailedException", **unless)
    refused(db.delete_item, EXCEEDED, **unless)


def test_a_batch_does_what_it_can_and_says_what_is_left(db):
    answer = db.batch_write_item(RequestItems={"small": puts("a", "b", "c"), "wide": puts("d")})
    assert answer["UnprocessedItems"] == {"small": puts("b", "c")}
    assert [each["id"]["S"] for each in db.scan(TableName="small")["Items"]] == ["a"]
    assert refused(db.batch_write_item, EXCEEDED, RequestItems={"small": puts("b")})["Error"]["Message"] == OF_TABLE
    wanted = {"small": {"Keys": [item("a"), item("b")], "ConsistentRead": True}}
    spend(db, "wide")
    answer = db.batch_get_item(RequestItems={"wide": {"Keys": [item("spent")]}, **wanted})
    assert (len(answer["Responses"]["wide"]), answer["Responses"]["small"], answer["UnprocessedKeys"]) == (1, [], wanted)
    assert refused(db.batch_get_item, EXCEEDED, RequestItems=wanted)["Error"]["Message"] == OF_TABLE


def test_a_transaction_says_of_which_action_there_is_too_little(db):
    spend(db)
    items = [{"Put": {"TableName": name, "Item": item()}} for name in ("wide", "small")]
    reasons = refused(db.transact_write_items, "TransactionCanceledException", TransactItems=items)["CancellationReasons"]
    assert reasons == [{"Code": "None"}, {"Code": "ProvisionedThroughputExceeded", "Message": OF_TABLE}]
    assert db.scan(TableName="wide")["Count"] == 0
    db.scan(TableName="small", ConsistentRead=True)
    gets = [{"Get": {"TableName": name, "Key": item()}} for name in ("small", "wide")]
    reasons = refused(db.transact_get_items, "TransactionCanceledException", TransactItems=gets)["CancellationReasons"]
    assert [each["Code"] for each in reasons] == ["ProvisionedThroughputExceeded", "None"]


def test_an_index_that_cannot_keep_up_refuses_its_table_s_writes(db):
    db.create_table(TableName="indexed", **provisioned(1000, 1000, id="S") | {"AttributeDefinitions": keyed(id="S", g="S")["AttributeDefinitions"]},
                    GlobalSecondaryIndexes=[{**index("by_g", "g"), "ProvisionedThroughput": units(1, 1)}])
    spend(db, "indexed", g={"S": "x"})
    assert refused(db.put_item, EXCEEDED, TableName="indexed", Item=item(g={"S": "x"}))["Error"]["Message"] == OF_INDEX
    db.put_item(TableName="indexed", Item=item())  # which is not in the index
    db.scan(TableName="indexed", IndexName="by_g")
    assert refused(db.scan, EXCEEDED, TableName="indexed", IndexName="by_g")["Error"]["Message"] == OF_INDEX
    db.scan(TableName="indexed")


def test_a_table_on_demand_takes_all(db):
    spend(db)
    refused(db.put_item, EXCEEDED, TableName="small", Item=item())
    db.update_table(TableName="small", BillingMode="PAY_PER_REQUEST")
    for n in range(5):
        db.put_item(TableName="small", Item=item(str(n), s={"S": "x" * 300_000}))


@pytest.mark.slow
def test_a_client_that_tries_again_gets_through(limited, db):
    patient = limited.client("dynamodb", config=ClientConfig(retries={"total_max_attempts": 10, "mode": "standard"}))
    for n in range(3):
        patient.put_item(TableName="small", Item=item(str(n)))
    waiting = {"small": puts("x", "y", "z")}
    while waiting:
        waiting = patient.batch_write_item(RequestItems=waiting)["UnprocessedItems"]
    assert db.scan(TableName="small")["Count"] == 6


def test_without_limits_a_provisioned_table_takes_all(tmp_path):
    with endpoint(tmp_path) as aws:
        db = aws.client("dynamodb")
        db.create_table(TableName="small", **provisioned(1, 1, id="S"))
        for n in range(5):
            db.put_item(TableName="small", Item=item(str(n)))
        assert db.scan(TableName="small")["Count"] == 5


def test_limits_that_are_always_on(db):
    assert told(db.put_item, TableName="wide", Item=item(s={"S": "x" * 409_600})) == "Item size has exceeded the maximum allowed size"
    assert told(db.batch_write_item, RequestItems={"wide": puts(*map(str, range(26)))})
    assert told(db.transact_write_items, TransactItems=[{"Delete": {"TableName": "wide", "Key": item(str(n))}} for n in range(101)])
    big = [{"Put": {"TableName": "big", "Item": item(str(n), s={"S": "x" * 400_000})}} for n in range(11)]
    db.create_table(TableName="big", **keyed(id="S"))
    assert told(db.transact_write_items, TransactItems=big) == "Transaction size exceeds the limit of 4 MB"
    for each in big:
        db.put_item(**each["Put"])
    gets = [{"Get": {"TableName": "big", "Key": item(str(n))}} for n in range(11)]
    assert told(db.transact_get_items, TransactItems=gets) == "Transaction size exceeds the limit of 4 MB"
    page = db.scan(TableName="big")
    assert (page["Count"], "LastEvaluatedKey" in page) == (3, True)  # the item that passes 1 MB is the page's last


@pytest.fixture
def table():
    return Table("t", "id", 0.0, ("id",), {"id": "S", "g": "S"}, (Index("by_g", ("g",), False, throughput=(2, 2)),), False, (10, 5))


def test_what_is_not_used_is_kept_for_five_minutes(table):
    clock = SimpleNamespace(now=0.0)
    throughput = Throughput(True, lambda: clock.now)

    def count():
        """Reads of one unit until one is refused."""
        for n in range(10_000):
            try:
                throughput.check_read(table)
            except AwsError:
                return n
            throughput.take_read(table, 1.0)
        return None

    assert count() == 10  # a second's worth
    clock.now += 2.0
    assert count() == 20
    clock.now += 1000.0
    assert count() == 3000
    throughput.take_read(table, 50.0)
    clock.now += 5.0
    assert count() == 0
    clock.now += 0.25
    assert count() == 2


def test_a_write_takes_of_its_table_and_of_each_index_that_it_touches(table):
    clock = SimpleNamespace(now=0.0)
    throughput = Throughput(True, lambda: clock.now)

    def write(**more):
        throughput.write(put(table, {"Item": {"id": "a", **more}})).change(None)

    for _ in range(2):
        write(g="x")
    with pytest.raises(AwsError, match="global secondary indexes"):
        write(g="x")
    for _ in range(3):
        write()
    with pytest.raises(AwsError, match="for the table was exceeded"):
        write()


def test_a_table_that_was_on_demand_owes_nothing(table):
    throughput = Throughput(True, lambda: 0.0)
    throughput.take_read(replace(table, on_demand=True), 128.0)
    throughput.check_read(table)
    throughput.take_read(table, 10.0)
    with pytest.raises(AwsError, match="for the table was exceeded"):
        throughput.check_read(table)
