"""Clients of the AWS endpoint that go on while it dies, and remember what was acknowledged."""

import json
import random
import threading
from collections import defaultdict

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

HANDLER = """
import base64
def handler(event, context):
    made = [(r["recordId"], base64.b64decode(r["data"])) for r in event["records"]]
    return {"records": [{"recordId": id, "result": "Ok", "data": base64.b64encode(b"seen " + data + b"\\n").decode()}
                        for id, data in made]}
"""
KEYS = 5
"""Keys of each client: few, so that each has a long history."""


def client(port, service, attempts=1):
    options = Config(retries={"total_max_attempts": attempts}, connect_timeout=5, read_timeout=20)
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                        aws_access_key_id="k", aws_secret_access_key="s", config=options)


class Shop:
    """Puts to Kinesis, Firehose and S3 from threads until stopped."""

    def __init__(self, port, seed):
        self._port, self._seed, self._stop = port, seed, threading.Event()
        self.kinesis, self.firehose, self.objects = {}, set(), {}
        """(shard, sequence number) to data; data; key to data: of what was acknowledged."""
        self.errors = defaultdict(int)
        kinds = (self._put_records, self._put_records, self._put_batch, self._put_object)
        self._threads = [threading.Thread(target=self._work, args=(kind, n)) for n, kind in enumerate(kinds)]

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def works(self):
        """Gives the question whether every kind of request was acknowledged from now on."""
        before = self._counts()
        return lambda: all(now > then for now, then in zip(self._counts(), before, strict=True))

    def _counts(self):
        return len(self.kinesis), len(self.firehose), len(self.objects)

    def _work(self, put, name):
        chance, number = random.Random(f"{self._seed} {name}"), 0
        aws = {service: client(self._port, service) for service in ("kinesis", "firehose", "s3")}
        while not self._stop.is_set():
            many = [f"{name}-{chance.randrange(KEYS)} {number + n:08}" for n in range(chance.randrange(1, 30))]
            number += len(many)
            try:
                put(aws, many)
            except (BotoCoreError, ClientError) as error:  # it died: whether that was put, nobody knows
                self.errors[type(error).__name__] += 1
            self._stop.wait(chance.random() * 0.02)

    def _put_records(self, aws, many):
        records = [{"Data": data.encode(), "PartitionKey": data.partition(" ")[0]} for data in many]
        answer = aws["kinesis"].put_records(StreamName="sales", Records=records)
        for data, place in zip(many, answer["Records"], strict=True):
            self.kinesis[place["ShardId"], place["SequenceNumber"]] = data

    def _put_batch(self, aws, many):
        records = [{"Data": data.encode() + b"\n"} for data in many]
        assert aws["firehose"].put_record_batch(DeliveryStreamName="direct", Records=records)["FailedPutCount"] == 0
        self.firehose.update(many)

    def _put_object(self, aws, many):
        aws["s3"].put_object(Bucket="lake", Key=f"put/{many[0]}", Body=json.dumps(many))
        self.objects[f"put/{many[0]}"] = json.dumps(many)


def set_up(port, zipped):
    """The stream, the bucket, the function and the two delivery streams."""
    s3, kinesis, functions, firehose = (client(port, name, 5) for name in ("s3", "kinesis", "lambda", "firehose"))
    s3.create_bucket(Bucket="lake")
    kinesis.create_stream(StreamName="sales", ShardCount=3)
    role = "arn:aws:iam::000000000000:role/r"
    arn = functions.create_function(
        FunctionName="seen", Runtime="python3.12", Role=role, Handler="main.handler", Code={"ZipFile": zipped},
    )["FunctionArn"]
    target = {"RoleARN": role, "BucketARN": "arn:aws:s3:::lake", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}}
    firehose.create_delivery_stream(
        DeliveryStreamName="direct", ExtendedS3DestinationConfiguration={**target, "Prefix": "direct/"})
    processor = {"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": arn}]}
    stream = kinesis.describe_stream_summary(StreamName="sales")["StreamDescriptionSummary"]["StreamARN"]
    firehose.create_delivery_stream(
        DeliveryStreamName="piped", DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": stream, "RoleARN": role},
        ExtendedS3DestinationConfiguration={
            **target, "Prefix": "piped/", "ErrorOutputPrefix": "failed/",
            "ProcessingConfiguration": {"Enabled": True, "Processors": [processor]},
        },
    )


def read_stream(port):
    """Every record of the stream: (shard, sequence number) and its data, in the order of each shard."""
    kinesis = client(port, "kinesis", 5)
    for shard in kinesis.list_shards(StreamName="sales")["Shards"]:
        id = shard["ShardId"]
        token = kinesis.get_shard_iterator(StreamName="sales", ShardId=id, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            answer = kinesis.get_records(ShardIterator=token)
            yield from (((id, record["SequenceNumber"]), record["Data"].decode()) for record in answer["Records"])
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
            token = answer["NextShardIterator"]


def read_lines(port, prefix):
    """Every line of the objects whose names begin so."""
    s3 = client(port, "s3", 5)
    lines = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=prefix):
        for item in page.get("Contents", []):
            lines += s3.get_object(Bucket="lake", Key=item["Key"])["Body"].read().decode().splitlines()
    return lines
