"""The same random calls of DynamoDB at caudal and at moto: where they differ AWS's documentation decides, and the reason is in DIFFERENT.

After each write the tables are compared too. `HYPOTHESIS_PROFILE=long` tries twenty times as many, and others each time.
"""

import pytest
from hypothesis import given

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.differing import BOUNDED, Difference, Outcome, ask, explained, mock_aws, moto, normal
from tests.unit.gateway.dynamo_calls import CALLS, KEYS, TABLE_CALLS, TABLES

IGNORED = {"ResponseMetadata", "ConsumedCapacity", "ItemCollectionMetrics", "UnprocessedItems", "UnprocessedKeys"}
"""What is not of random calls, or not moto's to say."""
WRONG, WRITES = "ValidationException: .*", "put_item|update_item|delete_item|transact_write_items"
ANY_ERROR = "(Validation|ConditionalCheckFailed|TransactionCanceled)Exception: .*"
PATHS = r"(=|<>|<|>|IN \(.*)\s*(size\()?#?[a-e]\b"
DIFFERENT = (
    Difference(".*", "ok|" + ANY_ERROR, "fault: .*|TransactionCanceled.*(Type|Value|Attribute|Assertion)Error.*|.*Bad Filter Expression.*", "moto fails where a path leads to nothing, or to another type"),
    Difference(WRITES + "|query|scan", "ok|" + ANY_ERROR, "ok|" + ANY_ERROR,
               "a comparison with what is not there is false, but for <>, also if neither is: moto says of two absent attributes that they are equal", given=PATHS),
    Difference(".*", WRONG + "(Incorrect operand type|must be distinct|BETWEEN operator requires|Invalid attribute type name).*", "ok|" + ANY_ERROR,
               "Expressions.OperatorsAndFunctions: AWS checks what a request gives before it looks at items; moto when it comes to compare"),
    Difference(".*", WRONG + "Two document paths (overlap|conflict) with each other.*", "ok|" + ANY_ERROR,
               "ProjectionExpression, UpdateExpression: paths may not overlap; moto sees it in some, and shows aliases and places in lists otherwise"),
    Difference(".*", WRONG + "(is not defined|redundant parentheses|unused in expressions|provided key element|item keys contains duplicates|Missing the key"
               "|Type mismatch|multiple operations on one item|contains duplicates|may not be empty|should not be empty|cannot contain an empty|Null attribute value|cannot be converted to a numeric"
               "|Cannot update attribute|ReturnValues can only).*", "ok|" + ANY_ERROR,
               "AWS refuses a request that is wrong whatever items there are; moto finds out in some operations, later, or in other words"),
    Difference("query|scan", WRONG + "does not project .*", "ok", "an index has no attributes but those that it projects: of a global one no others are shown, and none is a Query's filter"),
    Difference("query|scan", "ok", "ok", "Select: of a local index other attributes are fetched from its table; moto does so for a Query", given=r"two_by_a.*ProjectionExpression"),
    Difference("scan", "ok", "ok", "a Scan of an index filters by what the index holds; moto by the table's item", given="IndexName.*FilterExpression"),
    Difference("query", WRONG + "does not match schema type", "ok", "a key condition's values are of the key's types: botocore, KeyConditionExpression"),
    Difference("query", WRONG + "can only contain non-primary key attributes.*", "ok", "FilterExpression: of a Query it has no attribute of the key, an index's if there is one"),
    Difference(".*", "ok|" + ANY_ERROR, WRONG + "Value provided in ExpressionAttributeNames unused.*", "moto looks at no more names of a path once one of them leads to nothing"),
    Difference("update_item|transact_write_items", "(Validation|TransactionCanceled)Exception: .*", "(Validation|TransactionCanceled)Exception: .*",
               "of several things that are wrong AWS does not say which is told; moto says in another order, of sums by an error of operands, of transactions as if it were one call"),
    Difference("update_item|transact_write_items", "(ConditionalCheckFailed|TransactionCanceled).*", WRONG, "AWS does nothing unless the condition holds; moto works out the update first"),
)


TABLES_IGNORED = {
    "ResponseMetadata", "TableId", "CreationDateTime", "TableArn", "IndexArn", "ItemCount", "TableSizeBytes", "IndexSizeBytes", "WarmThroughput", "LatestStreamArn",
    "LatestStreamLabel", "NumberOfDecreasesToday", "DeletionProtectionEnabled", "TableStatus", "BillingModeSummary", "SSEDescription", "Tags",
    "ProvisionedThroughput",
}
"""What each makes up by itself; and what moto keeps of a table's throughput once it is on demand."""
TABLES_DIFFERENT = (
    Difference("(update|describe)_time_to_live", "ResourceNotFoundException: .*", "ResourceNotFound: .*", "the model's error is ResourceNotFoundException"),
    Difference("(create|update)_table|update_time_to_live", "(Validation|LimitExceeded|ResourceNotFound)Exception: .*", "ok|fault: .*", "moto takes what AWS's documentation of the request refuses"),
    Difference(".*_table", "(Validation|ResourceNotFound)Exception: .*", "(Validation|ResourceNotFound|ResourceInUse)Exception: .*", "of several things that are wrong AWS does not say which is told; and moto's words"),
)


def state(client):
    """What is in every table."""
    return {name: in_any_order(normal(client.scan(TableName=name)["Items"], ())) for name in TABLES}


def in_any_order(items):
    return sorted(items, key=repr)


def ask_dynamodb(client, operation, members):
    told, answer = ask(getattr(client, operation), members, IGNORED, told=True)
    if told == "ok" and operation == "scan":  # in no order
        answer = {**answer, "Items": in_any_order(answer.get("Items", []))}
    if told == "ok" and members.get("ReturnValues") == "UPDATED_NEW":  # of an item that is new moto shows the key too
        for name in KEYS[""][members["TableName"]]:
            answer.get("Attributes", {}).pop(name, None)
        answer = {name: shown for name, shown in answer.items() if shown}
    if told == "ok" and answer.get("ScannedCount") == members.get("Limit"):
        answer.pop("LastEvaluatedKey", None)  # where the limit ends a page AWS says so, also if there is no more: moto does not
    if told == "ok" and operation == "batch_get_item":
        answer = {name: in_any_order(items) for name, items in answer["Responses"].items()}
    return Outcome(told, answer)


def clean(client):
    for name, given_ in TABLES.items():
        for item in client.scan(TableName=name)["Items"]:
            client.delete_item(TableName=name, Key={key["AttributeName"]: item[key["AttributeName"]] for key in given_["KeySchema"]})


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("aws")) as aws, mock_aws():
        made = aws.client("dynamodb"), moto("dynamodb")
        for client in made:
            for name, given_ in TABLES.items():
                client.create_table(TableName=name, **given_)
        yield made


READS = frozenset({"get_item", "query", "scan", "batch_get_item", "transact_get_items"})


@pytest.mark.slow
@given(calls=CALLS)
@BOUNDED
def test_dynamodb_answers_as_moto_does_or_as_documented(both, calls):
    for client in both:
        clean(client)
    for operation, members in calls:
        mine, other = (ask_dynamodb(client, operation, members) for client in both)
        if mine != other and explained(DIFFERENT, operation, mine.told, other.told, given=str(members)) is None:
            assert (operation, members, mine) == (operation, members, other)
        if operation in READS or (mine.told != "ok" != other.told):
            continue
        ours, theirs = map(state, both)
        if mine == other:
            assert ours == theirs, (operation, members)
        elif ours != theirs:
            return  # from here on the two hold other things


@pytest.mark.slow
@given(calls=TABLE_CALLS)
@BOUNDED
def test_tables_are_as_moto_has_them_or_as_documented(both, calls):
    for client in both:
        for name in set(client.list_tables()["TableNames"]) - TABLES.keys():
            client.update_table(TableName=name, DeletionProtectionEnabled=False)
            client.delete_table(TableName=name)
    for operation, members in calls:
        mine, other = (ask(getattr(client, operation), members, TABLES_IGNORED, told=True) for client in both)
        if operation == "list_tables":  # moto's are in the order in which they were made
            other.answer["TableNames"].sort()
        if mine != other and explained(TABLES_DIFFERENT, operation, mine.told, other.told, given=str(members)) is None:
            assert (operation, members, mine) == (operation, members, other)
        if (mine.told == "ok") is not (other.told == "ok"):
            return  # from here on the two hold other things
