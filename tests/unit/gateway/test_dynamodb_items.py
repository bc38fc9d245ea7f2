"""DynamoDB's items as boto3 sees them: values, expressions, conditions, batches, transactions."""

from decimal import Decimal

import boto3
import pytest

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.dynamo import index, keyed, refused, told

KEY = {"id": {"S": "a"}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("aws")) as aws:
        client = aws.client("dynamodb")
        client.create_table(TableName="shop", **keyed(id="S"))
        client.create_table(
            TableName="line", **keyed(order="S", number="N", sku="S"), LocalSecondaryIndexes=[index("by_sku", "order", "sku")])
        yield client


@pytest.fixture
def db(shared):
    for item in shared.scan(TableName="shop")["Items"]:
        shared.delete_item(TableName="shop", Key={"id": item["id"]})
    return shared


def put(db, **item):
    db.put_item(TableName="shop", Item={"id": {"S": "a"}, **item})


def get(db):
    return {name: value for name, value in db.get_item(TableName="shop", Key=KEY).get("Item", {}).items() if name != "id"}


def update(db, text, names=None, returns="ALL_NEW", **values):
    more = {"ExpressionAttributeNames": names} if names else {}
    if values:
        more["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    answer = db.update_item(TableName="shop", Key=KEY, UpdateExpression=text, ReturnValues=returns, **more)
    return {name: value for name, value in answer.get("Attributes", {}).items() if name != "id"}


@pytest.mark.parametrize("given,back", [
    ({"N": "1.50"}, {"N": "1.5"}), ({"N": "-0"}, {"N": "0"}), ({"N": "1e3"}, {"N": "1000"}), ({"N": "+.5"}, {"N": "0.5"}),
    ({"N": "1E-130"}, {"N": "0." + "0" * 129 + "1"}), ({"N": "9.9999999999999999999999999999999999999E+125"}, {"N": "9" * 38 + "0" * 88}),
    ({"S": ""}, {"S": ""}), ({"S": "é😀\x00"}, {"S": "é😀\x00"}), ({"B": b""}, {"B": b""}), ({"B": b"\x00\xff"}, {"B": b"\x00\xff"}),
    ({"BOOL": False}, {"BOOL": False}), ({"NULL": True}, {"NULL": True}), ({"L": []}, {"L": []}), ({"M": {}}, {"M": {}}),
    ({"L": [{"N": "1"}, {"S": "1"}, {"L": [{"NULL": True}]}]}, {"L": [{"N": "1"}, {"S": "1"}, {"L": [{"NULL": True}]}]}),
    ({"M": {"S": {"N": "4"}, "$bytes": {"S": "x"}}}, {"M": {"S": {"N": "4"}, "$bytes": {"S": "x"}}}),
    ({"M": {"$set": {"L": []}}}, {"M": {"$set": {"L": []}}}),
    ({"SS": ["b", "a"]}, {"SS": ["a", "b"]}), ({"NS": ["10", "9.0", "-1"]}, {"NS": ["-1", "9", "10"]}), ({"BS": [b"b", b""]}, {"BS": [b"", b"b"]}),
], ids=str)
def test_a_value_comes_back_as_it_went_in_with_numbers_in_their_normal_form(db, given, back):
    put(db, v=given)
    assert get(db) == {"v": back}


def test_d01_a_number_with_a_hundred_zeros_is_kept_in_full(db):
    put(db, v={"N": "1" + "0" * 100})
    assert get(db) == {"v": {"N": "1" + "0" * 100}}


@pytest.mark.parametrize("number", ["9007199254740993", "12345678901234567890123456789012345678"], ids=["d02", "d04"])
def test_d02_d04_a_number_is_exact_to_its_last_digit(db, number):
    put(db, v={"N": number})
    assert get(db) == {"v": {"N": number}}


def test_d09_maps_named_like_types_are_maps(db):
    put(db, stock={"M": {"S": {"N": "4"}, "M": {"N": "7"}, "L": {"N": "0"}}})
    assert get(db) == {"stock": {"M": {"S": {"N": "4"}, "M": {"N": "7"}, "L": {"N": "0"}}}}


def test_d10_null_missing_and_empty_are_three_things(db):
    for coupon, wanted in (({"coupon": {"NULL": True}}, "NULL"), ({}, None), ({"coupon": {"S": ""}}, "S")):
        put(db, **coupon)
        assert next(iter(get(db).get("coupon", {None: 0}))) == wanted


@pytest.mark.parametrize("value,message", [
    ({"N": "1" * 39}, "Attempting to store more than 38 significant digits in a Number"),
    ({"N": "1E126"}, "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ({"N": "1E-131"}, "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
    ({"N": "one"}, "The parameter cannot be converted to a numeric value: one"), ({"N": "NaN"}, "cannot be converted"),
    ({"SS": []}, "An string set  may not be empty"), ({"NS": []}, "An number set  may not be empty"), ({"BS": []}, "Binary sets should not be empty"),
    ({"SS": ["a", "a"]}, "Input collection [a, a] contains duplicates."), ({"NS": ["1", "1.0"]}, "contains duplicates"),
    ({"NULL": False}, "Null attribute value types must have the value of true"), ({"S": "x" * 409_600}, "Item size has exceeded the maximum allowed size"),
], ids=lambda given: str(given)[:40])
def test_what_is_no_value_is_refused_in_aws_words(db, value, message):
    assert message in told(db.put_item, TableName="shop", Item={"id": {"S": "a"}, "v": value})
    assert get(db) == {}


@pytest.mark.parametrize("item,message", [
    ({"v": {"S": "x"}}, "One or more parameter values were invalid: Missing the key id in the item"),
    ({"id": {"N": "1"}}, "One or more parameter values were invalid: Type mismatch for key id expected: S actual: N"),
    ({"id": {"S": ""}}, "The AttributeValue for a key attribute cannot contain an empty string value. Key: id"),
    ({"id": {"S": "x" * 2049}}, "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
], ids=["missing", "type", "empty", "long"])
def test_an_item_without_its_key_is_refused(db, item, message):
    assert message in told(db.put_item, TableName="shop", Item=item)


def test_a_key_of_another_form_is_refused(db):
    for key in ({}, {"id": {"N": "1"}}, {"id": {"S": "a"}, "b": {"S": "b"}}):
        assert told(db.get_item, TableName="shop", Key=key) == "The provided key element does not match the schema"


ITEM = {
    "n": {"N": "5"}, "s": {"S": "hello"}, "b": {"B": b"hello"}, "t": {"BOOL": True}, "nil": {"NULL": True}, "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]}, "l": {"L": [{"N": "1"}, {"M": {"x": {"S": "deep"}}}]}, "m": {"M": {"k": {"L": [{"S": "z"}]}}},
}


@pytest.mark.parametrize("text,holds", [
    ("n = :five", True), ("n <> :five", False), ("none1 <> :five", True), ("none1 = :five", False), ("n < :six AND n > :four", True),
    ("n BETWEEN :four AND :six", True), ("s < :five", False), ("t = :five", False), ("n IN (:four, :five)", True), ("n IN (:four)", False),
    ("attribute_exists(l[1].x)", True), ("attribute_exists(l[2])", False), ("attribute_not_exists(m.none1)", True),
    ("attribute_type(nil, :NULL)", True), ("attribute_type(ss, :NULL)", False), ("begins_with(s, :hel)", True), ("begins_with(n, :hel)", False),
    ("contains(s, :hel)", True), ("contains(ss, :a)", True), ("contains(l, :one)", True), ("contains(ns, :a)", False),
    ("size(s) = :five", True), ("size(ss) < :five", True), ("size(n) = :five", False), ("size(m.k) = :one", True),
    ("NOT n = :four", True), ("not (n = :four or s = :a)", True), ("n = :four OR n = :five AND s = :a", False),
    ("m.k[0] = :z", True), ("l[1].#x = :deep", True), ("attribute_exists(id) and :five = n", True), ("size(l) >= n", False),
])
def test_a_condition_holds_or_not(db, text, holds):
    put(db, **ITEM)
    values = {":five": {"N": "5"}, ":six": {"N": "6"}, ":four": {"N": "4"}, ":one": {"N": "1"}, ":hel": {"S": "hel"}, ":a": {"S": "a"},
              ":NULL": {"S": "NULL"}, ":z": {"S": "z"}, ":deep": {"S": "deep"}}
    used = {name: value for name, value in values.items() if name in text.replace(")", " ").replace(",", " ").split()} or {}
    used |= {name: value for name, value in values.items() if f"({name}" in text}
    more = {"ExpressionAttributeValues": used} if used else {}
    if "#x" in text:
        more["ExpressionAttributeNames"] = {"#x": "x"}
    found = db.scan(TableName="shop", FilterExpression=text, **more)
    assert (found["Count"], found["ScannedCount"]) == (int(holds), 1)
    if holds:
        db.put_item(TableName="shop", Item={"id": {"S": "a"}}, ConditionExpression=text, **more)
    else:
        refused(db.put_item, "ConditionalCheckFailedException", TableName="shop", Item=KEY, ConditionExpression=text, **more)


@pytest.mark.parametrize("text,values,message", [
    ("a = ", {":v"}, 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="'),
    ("name = :v", {":v"}, "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: name"),
    ("a.Status = :v", {":v"}, "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: Status"),
    ("a = :w", {":v"}, "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :w"),
    ("#n = :v", {":v"}, "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute name: #n"),
    ("a = :v", {":v", ":w"}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"),
    ("frob(a)", (), "Invalid ConditionExpression: Invalid function name; function: frob"),
    ("size(a, :v) = :v", {":v"}, "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2"),
    ("attribute_exists(:v)", {":v"}, "Operator or function requires a document path; operator or function: attribute_exists"),
    ("if_not_exists(a, :v)", {":v"}, "The function is not allowed in a condition expression; function: if_not_exists"),
    ("((a = :v))", {":v"}, "Invalid ConditionExpression: The expression has redundant parentheses;"),
    ("a = a", (), "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]"),
    ("a BETWEEN :v AND :u", {":v", ":u"}, "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S::v}, upper bound operand: AttributeValue: {S::u}"),
    (" ", (), "Invalid ConditionExpression: The expression can not be empty;"),
    ("size(a)", (), "The function is not allowed to be used this way in an expression"),
    ("a = begins_with(a, :v)", {":v"}, "The function is not allowed to be used this way in an expression"),
    ("a = :v AND " * 600 + "a = :v", {":v"}, "Expression size has exceeded the maximum allowed size"),
    ("NOT " * 400 + "a = :v", {":v"}, "The expression contains too many operators; operator count: 401"),
])
def test_a_wrong_condition_is_refused_in_aws_words_whatever_the_item(db, text, values, message):
    more = {"ExpressionAttributeValues": {name: {"S": name} for name in values}} if values else {}
    assert message in told(db.put_item, TableName="shop", Item=KEY, ConditionExpression=text, **more)


def test_names_and_values_need_an_expression(db):
    assert told(db.get_item, TableName="shop", Key=KEY, ExpressionAttributeNames={"#a": "a"}) == "ExpressionAttributeNames can only be specified when using expressions"
    assert "ExpressionAttributeValues can only be specified when using expressions" in told(
        db.put_item, TableName="shop", Item=KEY, ExpressionAttributeValues={":a": {"S": "a"}})
    assert "contains invalid key" in told(db.get_item, TableName="shop", Key=KEY, ProjectionExpression="a", ExpressionAttributeNames={"a": "a"})


@pytest.mark.parametrize("text,values,after", [
    ("SET n = n + :one", {"one": {"N": "1"}}, {"n": {"N": "6"}}), ("SET n = :one - n", {"one": {"N": "1"}}, {"n": {"N": "-4"}}),
    ("SET none1 = if_not_exists(none1, :one) + :one", {"one": {"N": "1"}}, {"none1": {"N": "2"}}),
    ("SET l = list_append(l, :more)", {"more": {"L": [{"S": "x"}]}}, {"l": {"L": [*ITEM["l"]["L"], {"S": "x"}]}}),
    ("SET l[0] = :one, l[9] = :two, l[7] = n", {"one": {"S": "1"}, "two": {"S": "2"}}, {"l": {"L": [{"S": "1"}, ITEM["l"]["L"][1], {"N": "5"}, {"S": "2"}]}}),
    ("SET m.k[0] = :one, m.added = :one", {"one": {"S": "1"}}, {"m": {"M": {"k": {"L": [{"S": "1"}]}, "added": {"S": "1"}}}}),
    ("REMOVE l[0], m.k, none1, n", {}, {"l": {"L": [ITEM["l"]["L"][1]]}, "m": {"M": {}}, "n": None}), ("REMOVE l[0], l[1], l[5]", {}, {"l": {"L": []}}),
    ("ADD n :one, fresh :one, ss :set", {"one": {"N": "0.5"}, "set": {"SS": ["b", "c"]}}, {"n": {"N": "5.5"}, "fresh": {"N": "0.5"}, "ss": {"SS": ["a", "b", "c"]}}),
    ("DELETE ss :set, none1 :set", {"set": {"SS": ["b", "c"]}}, {"ss": {"SS": ["a"]}}), ("DELETE ns :set", {"set": {"NS": ["1", "2.0"]}}, {"ns": None}),
    ("SET s = b, b = s", {}, {"s": {"B": b"hello"}, "b": {"S": "hello"}}), ("set a1 = (n + :one) remove n", {"one": {"N": "1"}}, {"a1": {"N": "6"}, "n": None}),
])
def test_an_update_makes_the_next_item_of_the_one_there_is(db, text, values, after):
    put(db, **ITEM)
    wanted = {name: value for name, value in {**ITEM, **after}.items() if value is not None}
    assert update(db, text, **values) == wanted
    assert get(db) == wanted


@pytest.mark.parametrize("text,values,message", [
    ("SET id = :v", {"v": {"S": "x"}}, "One or more parameter values were invalid: Cannot update attribute id. This attribute is part of the key"),
    ("SET none1.x = :v", {"v": {"S": "x"}}, "The document path provided in the update expression is invalid for update"),
    ("SET a1 = none1", {}, "The provided expression refers to an attribute that does not exist in the item"),
    ("SET n = s + :v", {"v": {"N": "1"}}, "An operand in the update expression has an incorrect data type"),
    ("SET n = n + :v", {"v": {"S": "1"}}, "Incorrect operand type for operator or function; operator or function: +, operand type: STRING"),
    ("ADD n :v", {"v": {"S": "1"}}, "Incorrect operand type for operator or function; operator or function: ADD, operand type: STRING"),
    ("ADD s :v", {"v": {"N": "1"}}, "An operand in the update expression has an incorrect data type"),
    ("SET m.k = :v, m.k[0] = :v", {"v": {"N": "1"}}, "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m, k], path two: [m, k, [0]]"),
    ("SET n = :v SET s = :v", {"v": {"N": "1"}}, 'The "SET" section can only be used once in an update expression;'),
    ("SET n = size(s)", {}, "The function is not allowed in an update expression; function: size"),
    ("SET n = n + :v", {"v": {"N": "9" * 38 + "E88"}}, "more than 38 significant digits"),
    ("SET big = :v", {"v": {"S": "x" * 409_590}}, "Item size to update has exceeded the maximum allowed size"),
], ids=lambda given: str(given)[:40])
def test_an_update_that_cannot_be_is_refused_and_changes_nothing(db, text, values, message):
    put(db, **ITEM)
    arguments = {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}} if values else {}
    assert message in told(db.update_item, TableName="shop", Key=KEY, UpdateExpression=text, **arguments)
    assert get(db) == ITEM


def test_an_update_of_nothing_begins_with_the_key(db):
    assert db.update_item(TableName="shop", Key=KEY, ReturnValues="ALL_NEW")["Attributes"] == KEY
    assert update(db, "ADD n :v", v={"N": "1"}) == {"n": {"N": "1"}}


def test_return_values_show_the_item_before_or_after_or_what_changed(db):
    put(db, **ITEM)
    arguments = ("SET n = :v, l[1].x = :v", None)
    assert update(db, *arguments, returns="UPDATED_OLD", v={"N": "6"}) == {"n": {"N": "5"}, "l": {"L": [{"M": {"x": {"S": "deep"}}}]}}
    assert update(db, *arguments, returns="UPDATED_NEW", v={"N": "7"}) == {"n": {"N": "7"}, "l": {"L": [{"M": {"x": {"N": "7"}}}]}}
    assert update(db, *arguments, returns="ALL_OLD", v={"N": "8"})["n"] == {"N": "7"}
    assert update(db, *arguments, returns="NONE", v={"N": "9"}) == {}
    assert db.put_item(TableName="shop", Item=KEY, ReturnValues="ALL_OLD")["Attributes"]["n"] == {"N": "9"}
    assert db.delete_item(TableName="shop", Key=KEY, ReturnValues="ALL_OLD")["Attributes"] == KEY
    assert "Attributes" not in db.delete_item(TableName="shop", Key=KEY, ReturnValues="ALL_OLD")
    assert told(db.put_item, TableName="shop", Item=KEY, ReturnValues="ALL_NEW") == "ReturnValues can only be ALL_OLD or NONE"


def test_a_failed_condition_shows_the_item_if_it_is_asked_to(db):
    put(db, n={"N": "5"})
    arguments = {"TableName": "shop", "Key": KEY, "ConditionExpression": "attribute_not_exists(id)"}
    assert "Item" not in refused(db.delete_item, "ConditionalCheckFailedException", **arguments)
    told_all = refused(db.delete_item, "ConditionalCheckFailedException", **arguments, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert (told_all["Item"], told_all["Error"]["Message"]) == ({**KEY, "n": {"N": "5"}}, "The conditional request failed")


def test_a_projection_shows_parts_of_items(db):
    put(db, **ITEM)
    got = db.get_item(TableName="shop", Key=KEY, ProjectionExpression="l[1].x, m, #n, none1", ExpressionAttributeNames={"#n": "n"})["Item"]
    assert got == {"l": {"L": [{"M": {"x": {"S": "deep"}}}]}, "m": ITEM["m"], "n": ITEM["n"]}
    assert "overlap" in told(db.get_item, TableName="shop", Key=KEY, ProjectionExpression="m, m.k")


def test_capacity_is_by_size(db):
    put(db, s={"S": "x" * 5000})
    for consistent, units in ((True, 2), (False, 1)):
        got = db.get_item(TableName="shop", Key=KEY, ConsistentRead=consistent, ReturnConsumedCapacity="TOTAL")
        assert got["ConsumedCapacity"] == {"TableName": "shop", "CapacityUnits": units}
    answer = db.put_item(TableName="shop", Item=KEY, ReturnConsumedCapacity="INDEXES")
    assert answer["ConsumedCapacity"] == {"TableName": "shop", "CapacityUnits": 5, "Table": {"CapacityUnits": 5}}
    line = {"order": {"S": "o"}, "number": {"N": "1"}, "sku": {"S": "tea"}}
    answer = db.put_item(TableName="line", Item=line, ReturnConsumedCapacity="INDEXES", ReturnItemCollectionMetrics="SIZE")
    assert answer["ConsumedCapacity"] == {
        "TableName": "line", "CapacityUnits": 2, "Table": {"CapacityUnits": 1}, "LocalSecondaryIndexes": {"by_sku": {"CapacityUnits": 1}}}
    assert answer["ItemCollectionMetrics"] == {"ItemCollectionKey": {"order": {"S": "o"}}, "SizeEstimateRangeGB": [0, 1]}


def test_batches_write_and_read_many(db):
    items = [{"id": {"S": f"k{n}"}, "n": {"N": str(n)}} for n in range(25)]
    assert db.batch_write_item(RequestItems={"shop": [{"PutRequest": {"Item": item}} for item in items]})["UnprocessedItems"] == {}
    keys = [{"id": item["id"]} for item in items]
    got = db.batch_get_item(RequestItems={"shop": {"Keys": [*keys, {"id": {"S": "no"}}], "ProjectionExpression": "n"}})
    assert sorted(int(item["n"]["N"]) for item in got["Responses"]["shop"]) == list(range(25))
    assert got["UnprocessedKeys"] == {}
    db.batch_write_item(RequestItems={"shop": [{"DeleteRequest": {"Key": key}} for key in keys]})
    assert db.scan(TableName="shop", Select="COUNT")["Count"] == 0
    again = [{"PutRequest": {"Item": items[0]}}, {"DeleteRequest": {"Key": keys[0]}}]
    assert told(db.batch_write_item, RequestItems={"shop": again}) == "Provided list of item keys contains duplicates"
    assert told(db.batch_get_item, RequestItems={"shop": {"Keys": keys[:1] * 2}}) == "Provided list of item keys contains duplicates"


def _transact(db, *actions, **more):
    return {"TransactItems": [{kind: {"TableName": "shop", **given}} for kind, given in actions], **more}


def test_a_transaction_is_done_whole_or_not_at_all(db):
    db.transact_write_items(**_transact(
        db, ("Put", {"Item": {"id": {"S": "a"}, "n": {"N": "1"}}}), ("Update", {
            "Key": {"id": {"S": "b"}}, "UpdateExpression": "ADD n :v", "ExpressionAttributeValues": {":v": {"N": "2"}}}),
        ("ConditionCheck", {"Key": {"id": {"S": "c"}}, "ConditionExpression": "attribute_not_exists(id)"}), ("Delete", {"Key": {"id": {"S": "d"}}})))
    gets = [{"Get": {"TableName": "shop", "Key": {"id": {"S": name}}}} for name in "bac"]
    assert [each.get("Item", {}).get("n") for each in db.transact_get_items(TransactItems=gets)["Responses"]] == [{"N": "2"}, {"N": "1"}, None]
    error = refused(db.transact_write_items, "TransactionCanceledException", **_transact(
        db, ("Delete", {"Key": {"id": {"S": "b"}}}), ("Put", {
            "Item": {"id": {"S": "a"}}, "ConditionExpression": "n > :v", "ExpressionAttributeValues": {":v": {"N": "1"}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})))
    assert error["Error"]["Message"] == "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]"
    assert error["CancellationReasons"] == [{"Code": "None"}, {
        "Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": {"id": {"S": "a"}, "n": {"N": "1"}}}]
    assert db.scan(TableName="shop")["Count"] == 2
    same = ("Delete", {"Key": KEY})
    assert told(db.transact_write_items, **_transact(db, same, same)) == "Transaction request cannot include multiple operations on one item"


def test_a_transaction_of_one_token_is_done_once(db):
    add = ("Update", {"Key": KEY, "UpdateExpression": "ADD n :v", "ExpressionAttributeValues": {":v": {"N": "1"}}})
    for _ in range(3):
        db.transact_write_items(**_transact(db, add, ClientRequestToken="once"))
    assert get(db) == {"n": {"N": "1"}}
    refused(db.transact_write_items, "IdempotentParameterMismatchException", **_transact(db, ("Delete", {"Key": KEY}), ClientRequestToken="once"))
    failing = ("Put", {"Item": KEY, "ConditionExpression": "attribute_not_exists(id)"})
    refused(db.transact_write_items, "TransactionCanceledException", **_transact(db, failing, ClientRequestToken="later"))
    db.delete_item(TableName="shop", Key=KEY)
    db.transact_write_items(**_transact(db, failing, ClientRequestToken="later"))
    assert get(db) == {}
    assert db.scan(TableName="shop")["Count"] == 1


@pytest.mark.parametrize("operation,arguments,name", [
    ("put_item", {"Item": KEY, "Expected": {"id": {"Exists": False}}}, "Expected"),
    ("update_item", {"Key": KEY, "AttributeUpdates": {"a": {"Action": "DELETE"}}}, "AttributeUpdates"),
    ("query", {"KeyConditions": {"id": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}}}, "KeyConditions"),
    ("scan", {"AttributesToGet": ["a"]}, "AttributesToGet"),
])
def test_legacy_parameters_are_refused_by_name(db, operation, arguments, name):
    assert f"option {name} " in told(getattr(db, operation), TableName="shop", **arguments)


def test_what_is_not_served_is_refused_by_name(db):
    refused(db.execute_statement, "UnknownOperationException", Statement="SELECT * FROM shop")
    refused(db.get_item, "ResourceNotFoundException", TableName="nowhere", Key=KEY)


def test_the_resource_of_boto3_works_as_it_is(db):
    resource = boto3.resource("dynamodb", endpoint_url=db.meta.endpoint_url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
    table = resource.Table("shop")
    item = {"id": "r", "n": Decimal("1.25"), "tags": {"a", "b"}, "deep": [{"x": None}, True, b"bytes"]}
    with table.batch_writer() as batch:
        batch.put_item(Item=item)
    assert table.get_item(Key={"id": "r"})["Item"] == {**item, "deep": [{"x": None}, True, boto3.dynamodb.types.Binary(b"bytes")]}
