"""AWS's APIs: caudal's endpoint, MiniStack and moto, asked by one boto3 client in the same run.

The peers are installed in `.venv-peers` when the benchmark is first run. caudal's answers are durable; the peers keep their
state in memory. `firehose lambda records/s` is from the first PutRecords to the last line in S3, through a plain Python
handler that turns each record from JSON to CSV; a peer whose records do not arrive counts 0.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from report import Report

PEERS = Path(".venv-peers")
PACKAGES = ("ministack==1.5.33", "moto[server]>=5.2")
RUNS = 3
ITEMS = 500
RECORDS = 100_000
FIREHOSE = 20_000
PATIENCE = 30
"""Seconds that deliveries are waited for."""
ROLE = "arn:aws:iam::000000000000:role/r"
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


def peers() -> Path:
    """Where the peers' programs are."""
    if not (PEERS / "ready").exists():
        venv.create(PEERS, with_pip=True)
        subprocess.run([PEERS / "bin/python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (PEERS / "ready").touch()
    return PEERS / "bin"


def commands(folder: Path, port: int) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Subject to the command that serves on the port, and its environment."""
    (folder / "pipeline.py").write_text("from caudal import Pipeline\n\nshop = Pipeline('shop')\n")
    (folder / "caudal.toml").write_text(f'[gateway]\nurl = "http://127.0.0.1:{port}"\n')
    return {
        "caudal": ([sys.executable, "-m", "caudal.gateway", "gateway", str(folder / "pipeline.py")], {}),
        "ministack": ([str(peers() / "ministack")], {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1"}),
        "moto": ([str(peers() / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], {}),
    }


class Endpoint:
    """A server that runs, and clients of it."""

    def __init__(self, subject: str, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.subject, self.process = subject, process
        self.url = f"http://127.0.0.1:{port}"

    def client(self, service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="test",
                            aws_secret_access_key="test", config=config)

    def mib(self) -> float:
        """Resident memory of the server and all that it started."""
        listed = subprocess.run(["ps", "-eo", "pid,ppid,rss"], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
        rows = [tuple(map(int, line.split())) for line in listed]
        family = {self.process.pid}
        for _ in range(5):
            family |= {pid for pid, parent, _ in rows if parent in family}
        return sum(rss for pid, _, rss in rows if pid in family) / 1024


@contextmanager
def served(subject: str, report: Report) -> Iterator[Endpoint]:
    """The subject's server, once it answers."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp-aws-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        command, environment = commands(Path(folder), port)[subject]
        started = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True)
        endpoint = Endpoint(subject, process, port)
        try:
            while not answers(endpoint):
                time.sleep(0.01)
            report.add("start ms", subject, 1000 * (time.perf_counter() - started), "ms")
            yield endpoint
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def answers(endpoint: Endpoint) -> bool:
    try:
        endpoint.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError):
        return False
    return True


def rate(work: Callable[[int], object], n: int) -> float:
    """How often a second, as the median of some runs."""
    found = []
    for run in range(RUNS):
        started = time.perf_counter()
        for i in range(n):
            work(run * n + i)
        found.append(n / (time.perf_counter() - started))
    return median(found)


def item(n: int) -> dict[str, Any]:
    return {"order_id": {"S": f"o{n}"}, "customer_id": {"S": f"c{n % 500}"}, "quantity": {"N": str(n % 7)}, "amount": {"N": "2.50"}}


def record(n: int) -> dict[str, Any]:
    row = {"order_id": f"o{n}", "customer_id": f"c{n % 500}", "quantity": n % 7, "amount": 2.5}
    return {"Data": json.dumps(row).encode(), "PartitionKey": str(n % 997)}


def puts(endpoint: Endpoint, report: Report) -> None:
    dynamodb = endpoint.client("dynamodb")
    for measure, streamed in (("put item/s", False), ("put item with stream/s", True)):
        more = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}} if streamed else {}
        name = "streamed" if streamed else "plain"
        dynamodb.create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "order_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "order_id", "AttributeType": "S"}], **more,
        )
        report.add(measure, endpoint.subject, rate(lambda n, name=name: dynamodb.put_item(TableName=name, Item=item(n)), ITEMS), "/s")  # type: ignore[misc]


def put_records(endpoint: Endpoint, report: Report) -> None:
    kinesis = endpoint.client("kinesis")
    kinesis.create_stream(StreamName="clicks", ShardCount=2)
    time.sleep(1)
    batches = [[record(n) for n in range(start, start + 500)] for start in range(0, RECORDS // RUNS, 500)]
    per_batch = rate(lambda n: kinesis.put_records(StreamName="clicks", Records=batches[n % len(batches)]), len(batches))
    report.add("put records/s", endpoint.subject, 500 * per_batch, "/s")


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("main.py", HANDLER)
    return out.getvalue()


def firehose(endpoint: Endpoint, report: Report) -> None:
    kinesis, s3 = endpoint.client("kinesis"), endpoint.client("s3")
    s3.create_bucket(Bucket="delivered")
    endpoint.client("lambda").create_function(
        FunctionName="to_csv", Runtime="python3.11", Role=ROLE, Handler="main.handler", Timeout=60, MemorySize=512, Code={"ZipFile": zipped()}
    )
    kinesis.create_stream(StreamName="sales", ShardCount=2)
    time.sleep(1)
    arn = kinesis.describe_stream_summary(StreamName="sales")["StreamDescriptionSummary"]["StreamARN"]
    endpoint.client("firehose").create_delivery_stream(
        DeliveryStreamName="sales", DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
        ExtendedS3DestinationConfiguration={
            "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::delivered", "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 1},
            "ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": [
                {"ParameterName": "LambdaArn", "ParameterValue": "arn:aws:lambda:us-east-1:000000000000:function:to_csv"}]}]},
        },
    )
    time.sleep(1)
    started = time.perf_counter()
    for start in range(0, FIREHOSE, 500):
        kinesis.put_records(StreamName="sales", Records=[record(n) for n in range(start, start + 500)])
    arrived = 0
    while arrived < FIREHOSE and time.perf_counter() - started < PATIENCE:
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="delivered").get("Contents", [])]
        arrived = sum(s3.get_object(Bucket="delivered", Key=key)["Body"].read().count(b"\n") for key in keys)
        time.sleep(0.05)
    took = time.perf_counter() - started
    report.add("firehose lambda records/s", endpoint.subject, FIREHOSE / took if arrived == FIREHOSE else 0.0, "/s")


MEASURES: tuple[tuple[str, Callable[[Endpoint, Report], None]], ...] = (
    ("put item/s", puts), ("put records/s", put_records), ("firehose lambda records/s", firehose),
)


def main() -> None:
    with Report("aws") as report:
        for subject in ("caudal", "ministack", "moto"):
            with served(subject, report) as endpoint:
                time.sleep(1)
                report.add("idle MiB", subject, endpoint.mib(), "MiB")
                for measure, work in MEASURES:
                    try:
                        work(endpoint, report)
                    except (BotoCoreError, ClientError) as error:
                        print(f"{subject}: {measure}: {error}")
                        report.add(measure, subject, 0.0, "/s")


if __name__ == "__main__":
    main()
