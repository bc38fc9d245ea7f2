"""`caudal up --aws`: any AWS client works, with nothing but the address; and the process stays small."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.flow.test_cli import COMMAND, ENVIRONMENT, free_port

IDLE_MIB = 300
REQUESTS = 2000


def client(url, service):
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s",
                        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32))


@pytest.fixture
def up(tmp_path):
    """Runs `caudal up` in an empty folder, with the options given, until the test ends; gives the address."""
    running = []

    def start(*options):
        url = f"http://127.0.0.1:{free_port()}"
        process = subprocess.Popen(
            [*COMMAND, "up", *options], cwd=tmp_path, env={**ENVIRONMENT, "CAUDAL_GATEWAY_URL": url}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        running.append(process)
        assert process.stdout.readline() == f"AWS's APIs listen at {url}: set AWS_ENDPOINT_URL={url}\n"
        return url

    yield start
    for process in running:
        process.terminate()
        assert process.communicate(timeout=30) == ("stopped\n", "")
        assert process.returncode == 0


def test_in_an_empty_folder_aws_apis_alone_run(up, tmp_path):
    url = up("--aws")
    assert client(url, "sts").get_caller_identity()["Account"] == "000000000000"
    client(url, "s3").create_bucket(Bucket="lake")
    asked = "import boto3; print([b['Name'] for b in boto3.client('s3').list_buckets()['Buckets']])"
    environment = {**os.environ, "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
    assert subprocess.check_output([sys.executable, "-c", asked], env=environment, text=True) == "['lake']\n"
    assert [path.name for path in tmp_path.iterdir()] == ["caudal-data"]


def test_a_pipeline_file_that_was_named_must_be_there(tmp_path):
    command = [*COMMAND, "--pipeline", "shop.py", "up", "--aws"]
    told = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "shop.py: no such pipeline file" in told.stderr


@pytest.mark.slow
def test_with_aws_limits_a_shard_takes_no_more_than_awss(up):
    kinesis = client(up("--aws-limits"), "kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    with pytest.raises(ClientError) as error:
        for _ in range(3):
            kinesis.put_record(StreamName="s", PartitionKey="k", Data=b"x" * 1_000_000)
    assert error.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"


def endpoint_of(folder):
    """Process id of the endpoint that works in this folder."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"caudal.gateway" in words and str(folder / "pipeline.py").encode() in words:
            return int(entry.name)
    raise AssertionError("no endpoint")


def held(pid):
    """Threads, file descriptors and MiB of memory of a process; pages that several share are shared out."""
    memory = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    threads, files = (len(list(Path(f"/proc/{pid}/{kind}").iterdir())) for kind in ("task", "fd"))
    return threads, files, int(memory["Pss"].split()[0]) / 1024


def children_of(pid):
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


@pytest.mark.slow
def test_requests_leave_no_threads_files_or_memory_behind(up, tmp_path):
    url = up("--aws")
    kinesis, s3, sts = (client(url, name) for name in ("kinesis", "s3", "sts"))
    s3.create_bucket(Bucket="lake")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    pid = endpoint_of(tmp_path)
    idle = held(pid)[2] + sum(held(child)[2] for child in children_of(pid))
    assert idle < IDLE_MIB, f"{idle:.0f} MiB with S3 started"

    def ask(n):
        kinesis.put_record(StreamName="s", PartitionKey="k", Data=b"x")
        if n % 10 == 0:
            s3.put_object(Bucket="lake", Key=f"k{n % 50}", Body=b"x")
            with pytest.raises(ClientError):
                kinesis.describe_stream(StreamName="none")
            sts.get_caller_identity()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(REQUESTS)))
        before = held(pid)  # what is opened once, for each thread and connection, is open now
        list(pool.map(ask, range(REQUESTS)))
    time.sleep(1)
    after = held(pid)
    assert after[0] <= before[0] + 8, f"threads: {before[0]}, then {after[0]}"
    assert after[1] <= before[1] + 24, f"file descriptors: {before[1]}, then {after[1]}"
    assert after[2] <= before[2] + 40, f"MiB: {before[2]:.0f}, then {after[2]:.0f}"
    print(f"\nidle {idle:.0f} MiB; {after[0]} threads, {after[1]} file descriptors, {after[2]:.0f} MiB after {2 * REQUESTS} requests")
