"""Who is asked in benchmarks/aws.py: caudal's endpoint, MiniStack and moto, each a server of its own, by one boto3 client."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from report import Report

SUBJECTS = tuple(os.environ.get("AWS_SUBJECTS", "caudal,ministack,moto").split(","))
PEERS = Path(".venv-peers").absolute()
PACKAGES = ("ministack==1.5.33", "moto[server]>=5.2", "duckdb>=1.5")  # DuckDB is what MiniStack's Athena asks, where it is there
PATIENCE = 60
"""Seconds that anything is waited for."""
ROLE = "arn:aws:iam::000000000000:role/r"
PIPELINE = """
from datetime import datetime

from caudal import Pipeline

shop = Pipeline("shop")


@shop.table(key=("basket_id", "product_id"))
class Sale:
    basket_id: str
    product_id: str
    household_id: str
    sold_at: datetime


shop.recommender(
    "for_you", interactions="SELECT household_id AS user, product_id AS item, sold_at AS time FROM sale", options={"min_buyers": 2}
)
"""
NOTHING = """
import socketserver, sys
body = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/x-amz-json-1.0\\r\\nx-amz-crc32: 2745614147\\r\\ncontent-length: 2\\r\\n\\r\\n{}"
class Nothing(socketserver.BaseRequestHandler):
    def handle(self):
        while part := self.request.recv(1 << 20):
            if part.endswith((b"}}", b"]}")):
                self.request.sendall(body)
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Nothing).serve_forever()
"""
"""A server that answers PutItem and PutRecords without a look at it: no server is quicker, so this is what boto3 itself takes."""


def peers() -> Path:
    """Where the peers' programs are."""
    if not (PEERS / "ready").exists():
        venv.create(PEERS, with_pip=True)
        subprocess.run([PEERS / "bin/python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (PEERS / "ready").touch()
    return PEERS / "bin"


def commands(folder: Path, port: int) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Subject to the command that serves on the port, and its environment."""
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "caudal.toml").write_text(f'[gateway]\nurl = "http://127.0.0.1:{port}"\n')
    return {
        "caudal": ([sys.executable, "-m", "caudal.gateway", "gateway", str(folder / "pipeline.py")], {}),
        "ministack": ([str(peers() / "ministack")], {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1"}),
        "nothing": ([sys.executable, "-c", NOTHING, str(port)], {}),
        "moto": ([str(peers() / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], {}),
    }


class Endpoint:
    """A server that runs, and clients of it."""

    def __init__(self, subject: str, process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
        self.subject, self.process, self.folder = subject, process, folder
        self.port, self.url = port, f"http://127.0.0.1:{port}"

    def client(self, service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="test",
                            aws_secret_access_key="test", config=config)

    def stream(self, name: str) -> str:
        """A new Kinesis stream of two shards; its ARN."""
        kinesis = self.client("kinesis")
        kinesis.create_stream(StreamName=name, ShardCount=2)
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
        return str(kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"])

    def refuses(self, report: Report, measure: str, error: Exception, unit: str = "/s") -> None:
        """It does not do what is measured: 0 where more is better."""
        print(f"{self.subject}: {measure}: {type(error).__name__}: {error}")
        if unit != "ms":
            report.add(measure, self.subject, 0.0, unit)

    def mib(self) -> float:
        """Resident memory of the server and all that it started."""
        listed = subprocess.run(["ps", "-eo", "pid,ppid,rss"], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
        rows = [tuple(map(int, line.split())) for line in listed]
        family = {self.process.pid}
        for _ in range(5):
            family |= {pid for pid, parent, _ in rows if parent in family}
        return sum(rss for pid, _, rss in rows if pid in family) / 1024


@contextmanager
def served(subject: str, report: Report | None = None) -> Iterator[Endpoint]:
    """The subject's server, once it answers; into the report goes how long that took."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp-aws-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        command, environment = commands(Path(folder), port)[subject]
        started = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True)
        endpoint = Endpoint(subject, process, port, Path(folder))
        try:
            while not answers(endpoint):
                time.sleep(0.01)
            if report is not None:
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
    """Whether it is there."""
    try:
        if endpoint.subject == "nothing":
            socket.create_connection(("127.0.0.1", endpoint.port), 1).close()
        else:
            endpoint.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError, OSError):
        return False
    return True


def wait(done: Any, what: str) -> None:
    """Until `done()`. Raises TimeoutError."""
    until = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not after {PATIENCE} s")
        time.sleep(0.05)


class NotDone(Exception):
    """What came back is no answer: a failure, or one that was not computed."""


def item(n: int) -> dict[str, Any]:
    return {"order_id": {"S": f"o{n}"}, "customer_id": {"S": f"c{n % 500}"}, "quantity": {"N": str(n % 7)}, "amount": {"N": "2.50"}}


def record(n: int) -> dict[str, Any]:
    row = {"order_id": f"o{n}", "customer_id": f"c{n % 500}", "quantity": n % 7, "amount": 2.5}
    return {"Data": json.dumps(row).encode(), "PartitionKey": str(n % 997)}


def put_arguments(table: str) -> dict[str, Any]:
    """CreateTable's arguments for a table of such items."""
    return {
        "TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "order_id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "order_id", "AttributeType": "S"}],
    }
