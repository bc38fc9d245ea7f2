"""AWS's SDK for JavaScript, version 3."""

import json
import shutil

import pytest

from tests.clients.conftest import node_with

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("npm") is None, reason="this machine has no Node")]

DYNAMODB = """
import { DynamoDBClient, CreateTableCommand, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand, QueryCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";

const plain = new DynamoDBClient({});
await plain.send(new CreateTableCommand({
  TableName: "sale", BillingMode: "PAY_PER_REQUEST",
  KeySchema: [{ AttributeName: "user", KeyType: "HASH" }, { AttributeName: "n", KeyType: "RANGE" }],
  AttributeDefinitions: [{ AttributeName: "user", AttributeType: "S" }, { AttributeName: "n", AttributeType: "N" }],
}));
await waitUntilTableExists({ client: plain, maxWaitTime: 60 }, { TableName: "sale" });
const client = DynamoDBDocumentClient.from(plain);
for (let n = 0; n < 5; n++) await client.send(new PutCommand({ TableName: "sale", Item: { user: "ann", n, list: [n, { deep: true }] } }));
const updated = await client.send(new UpdateCommand({
  TableName: "sale", Key: { user: "ann", n: 3 }, UpdateExpression: "SET seen = if_not_exists(seen, :zero) + :one",
  ExpressionAttributeValues: { ":zero": 0, ":one": 1 }, ReturnValues: "UPDATED_NEW",
}));
let refused = "";
try {
  await client.send(new PutCommand({ TableName: "sale", Item: { user: "ann", n: 3 }, ConditionExpression: "attribute_not_exists(#u)", ExpressionAttributeNames: { "#u": "user" } }));
} catch (error) { refused = error.name; }
const found = await client.send(new QueryCommand({
  TableName: "sale", KeyConditionExpression: "#u = :u AND n BETWEEN :a AND :b", ScanIndexForward: false,
  ExpressionAttributeNames: { "#u": "user" }, ExpressionAttributeValues: { ":u": "ann", ":a": 1, ":b": 3 },
}));
console.log(JSON.stringify({ updated: updated.Attributes, refused, found: found.Items }));
"""

KINESIS = """
import { KinesisClient, CreateStreamCommand, GetRecordsCommand, GetShardIteratorCommand, PutRecordsCommand, waitUntilStreamExists } from "@aws-sdk/client-kinesis";

const client = new KinesisClient({});  // by HTTP/2
await client.send(new CreateStreamCommand({ StreamName: "clicks", ShardCount: 1 }));
await waitUntilStreamExists({ client, maxWaitTime: 60 }, { StreamName: "clicks" });
const put = await client.send(new PutRecordsCommand({
  StreamName: "clicks", Records: ["a", "b", "c"].map((text) => ({ PartitionKey: "ann", Data: Buffer.from(text) })),
}));
const { ShardIterator } = await client.send(new GetShardIteratorCommand({
  StreamName: "clicks", ShardId: put.Records[0].ShardId, ShardIteratorType: "TRIM_HORIZON" }));
const got = await client.send(new GetRecordsCommand({ ShardIterator }));
console.log(JSON.stringify({ failed: put.FailedRecordCount, got: got.Records.map((record) => Buffer.from(record.Data).toString()) }));
"""


@pytest.fixture
def node(clients):
    folder = node_with("node", "@aws-sdk/client-dynamodb@3", "@aws-sdk/client-kinesis@3", "@aws-sdk/lib-dynamodb@3")

    def run(script):
        file = folder / f"{clients.folder.name}.mjs"  # where it finds its packages
        file.write_text(script)
        try:
            return json.loads(clients.run("node", file))
        finally:
            file.unlink()

    return run


def test_items_are_written_and_found(node):
    found = node(DYNAMODB)
    assert found["updated"] == {"seen": 1}
    assert found["refused"] == "ConditionalCheckFailedException"
    assert [(item["n"], item["list"][1]) for item in found["found"]] == [(3, {"deep": True}), (2, {"deep": True}), (1, {"deep": True})]


def test_records_are_put_and_read(node):
    assert node(KINESIS) == {"failed": 0, "got": ["a", "b", "c"]}
