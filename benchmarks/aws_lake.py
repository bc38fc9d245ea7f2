"""Of benchmarks/aws.py: what arrives in S3, and what Athena says of it."""

import io
import json
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any

from aws_subjects import PATIENCE, ROLE, Endpoint, NotDone, put_arguments, record, wait
from report import Report

FIREHOSE = 100_000
CHANGES, KEYS = 10_000, 1_000
QUERIES = 20
HANDLER = """
import base64, json

def handler(event, context):
    made = []
    for record in event["records"]:
        row = json.loads(base64.b64decode(record["data"]))
        line = ",".join(str(row[name]) for name in ("order_id", "customer_id", "quantity", "amount")) + "\\n"
        made.append({"recordId": record["recordId"], "result": "Ok", "data": base64.b64encode(line.encode()).decode()})
    return {"records": made}
"""


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("main.py", HANDLER)
    return out.getvalue()


def deliver(endpoint: Endpoint, name: str, arn: str, function: str = "") -> None:
    """A delivery stream from a Kinesis stream to the bucket of that name."""
    more: dict[str, Any] = {}
    if function:
        made = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
        parameters = [{"ParameterName": "LambdaArn", "ParameterValue": made}]
        more["ProcessingConfiguration"] = {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": parameters}]}
    endpoint.client("s3").create_bucket(Bucket=name)
    firehose = endpoint.client("firehose")
    firehose.create_delivery_stream(
        DeliveryStreamName=name, DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
        ExtendedS3DestinationConfiguration={
            "RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{name}", "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 1}, **more,
        },
    )
    wait(lambda: is_active(firehose, name), f"delivery stream {name}")


def is_active(firehose: Any, name: str) -> bool:
    described = firehose.describe_delivery_stream(DeliveryStreamName=name)
    return bool(described["DeliveryStreamDescription"]["DeliveryStreamStatus"] == "ACTIVE")


def objects(endpoint: Endpoint, bucket: str) -> Iterator[bytes]:
    s3 = endpoint.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            yield s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()


def firehose(endpoint: Endpoint, report: Report) -> None:
    kinesis = endpoint.client("kinesis")
    endpoint.client("lambda").create_function(
        FunctionName="to_csv", Runtime="python3.11", Role=ROLE, Handler="main.handler", Timeout=60, MemorySize=512, Code={"ZipFile": zipped()}
    )
    deliver(endpoint, "delivered", endpoint.stream("sales"), "to_csv")
    started, sent = time.perf_counter(), 0
    while sent < FIREHOSE and time.perf_counter() - started < PATIENCE:  # who takes longer is measured by fewer
        kinesis.put_records(StreamName="sales", Records=[record(n) for n in range(sent, sent + 500)])
        sent += 500
    wait(lambda: sum(data.count(b"\n") for data in objects(endpoint, "delivered")) >= sent, "delivery")
    report.add("firehose lambda records/s", endpoint.subject, sent / (time.perf_counter() - started), "/s")


def changes(endpoint: Endpoint, report: Report) -> None:
    dynamodb = endpoint.client("dynamodb")
    dynamodb.create_table(**put_arguments("carts"))
    arn = endpoint.stream("cart-changes")
    dynamodb.enable_kinesis_streaming_destination(TableName="carts", StreamArn=arn)
    deliver(endpoint, "changes", arn)
    started = time.perf_counter()
    for start in range(0, CHANGES, 25):
        items = [{"order_id": {"S": f"o{n % KEYS}"}, "version": {"N": str(n // KEYS)}} for n in range(start, start + 25)]
        dynamodb.batch_write_item(RequestItems={"carts": [{"PutRequest": {"Item": item}} for item in items]})
    until, arrived = time.monotonic() + PATIENCE, 0
    while arrived < CHANGES and time.monotonic() < until:
        time.sleep(0.1)
        arrived = in_order([list(versions(data)) for data in objects(endpoint, "changes")])
    report.add("dynamodb changes in lake of 10000", endpoint.subject, arrived)
    if arrived == CHANGES:
        report.add("dynamodb changes in lake s", endpoint.subject, time.perf_counter() - started, "s")


def versions(data: bytes) -> Iterator[tuple[str, int]]:
    """Item and version of each change in an object, whose records have nothing between them."""
    text, at, decoder = data.decode(), 0, json.JSONDecoder()
    while at < len(text):
        change, at = decoder.raw_decode(text, at)
        image = change["dynamodb"]["NewImage"]
        yield image["order_id"]["S"], int(image["version"]["N"])
        while at < len(text) and text[at].isspace():
            at += 1


def in_order(found: list[list[tuple[str, int]]]) -> int:
    """How many changes are there, each once and after its item's earlier ones.

    Within an object they must be in order; objects have no order of their own, so one item's changes in two of them must be all
    of them before the others.
    """
    spans: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for changes in found:
        of_items: dict[str, list[int]] = defaultdict(list)
        for item, version in changes:
            of_items[item].append(version)
        for item, each in of_items.items():
            spans[item].append(tuple(each))
    count = 0
    for parts in spans.values():
        last = -1
        for version in (version for part in sorted(parts) for version in part):
            count += version > last
            last = max(last, version)
    return count


def athena(endpoint: Endpoint, report: Report) -> None:
    s3, glue, client = endpoint.client("s3"), endpoint.client("glue"), endpoint.client("athena")
    s3.create_bucket(Bucket="asked")
    s3.put_object(Bucket="asked", Key="sale/1.csv", Body="".join(f"c{n % 50},{n % 7}\n" for n in range(1000)).encode())
    glue.create_database(DatabaseInput={"Name": "asked"})
    glue.create_table(DatabaseName="asked", TableInput={
        "Name": "sale", "TableType": "EXTERNAL_TABLE", "Parameters": {"classification": "csv", "EXTERNAL": "TRUE"},
        "StorageDescriptor": {
            "Columns": [{"Name": "customer_id", "Type": "string"}, {"Name": "quantity", "Type": "int"}],
            "Location": "s3://asked/sale/", "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", "Parameters": {"field.delim": ","}},
        },
    })
    took = []
    for n in range(QUERIES):
        started = time.perf_counter()
        query = client.start_query_execution(
            QueryString=f"SELECT customer_id, sum(quantity) AS units FROM sale WHERE quantity < 7 + {n} GROUP BY customer_id ORDER BY customer_id LIMIT 2",
            QueryExecutionContext={"Database": "asked"}, ResultConfiguration={"OutputLocation": "s3://asked/results/"},
        )["QueryExecutionId"]
        while (status := client.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"])["State"] in ("QUEUED", "RUNNING"):
            time.sleep(0.002)
        if status["State"] != "SUCCEEDED":
            raise NotDone(f"the query {status['State']}: {status.get('StateChangeReason', '')}")
        rows = client.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
        took.append(1000 * (time.perf_counter() - started))
        found = [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows]
        if found != [["customer_id", "units"], ["c0", "57"], ["c1", "63"]]:
            raise NotDone(f"a canned answer: {found[:3]}")
    report.add("athena query ms", endpoint.subject, median(took), "ms")
