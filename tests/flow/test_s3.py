"""The loop with its lake in S3: the same pipeline file, another URL."""

import json

import boto3
import pytest

from caudal.gateway.s3.server import S3Server
from tests.flow.test_cli import Shell

PIPELINE = '''
from caudal import Delivery, Pipeline

shop = Pipeline("corner")


@shop.table(key=("order_id",), deliveries=[Delivery("parquet"), Delivery("csv", compression="gzip")])
class Purchase:
    order_id: str
    quantity: int
'''


@pytest.fixture
def shell(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = S3Server(tmp_path / "s3", {})
    boto3.client("s3", endpoint_url=server.url(), region_name="us-east-1").create_bucket(Bucket="lake")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    url = f"s3://lake/corner?endpoint={server.url()}&region=us-east-1"
    (tmp_path / "caudal.toml").write_text(f'[files]\nurl = "{url}"\n')
    yield Shell(tmp_path)
    server.close()


def test_the_loop_runs_with_its_lake_in_s3(shell):
    lines = "".join(json.dumps({"order_id": f"o{n}", "quantity": n}) + "\n" for n in range(500)) + "no json\n"
    (shell.folder / "lines.jsonl").write_text(lines)
    shell("import", "purchase", "lines.jsonl", code=1)
    shell("flush")
    for table in ("purchase", "purchase_csv"):
        (row,) = json.loads(shell("query", f"SELECT count(*) AS n, sum(quantity) AS total FROM {table}", "--format", "json"))
        assert row == {"n": 500, "total": 124750}
    assert "purchase" in shell("quarantine", "list")
    shell("maintain")
    shell("verify", "--deep")
    shell("status")
