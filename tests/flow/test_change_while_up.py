"""A contract that changes while `caudal up` runs: its parts start again with the new one, and every record is delivered."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "caudal.cli"]

PIPELINE = """
from typing import Annotated
from caudal import Delivery, Pipeline, renamed
shop = Pipeline("shop")

@shop.table(key=["sale_id"], deliveries=[Delivery(buffer_seconds=0), Delivery("csv", buffer_seconds=0)])
class Sale:
    sale_id: str
    qty: int
"""


@pytest.fixture
def shop(tmp_path):
    """A folder in which `caudal up` runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "caudal.toml").write_text(f'[endpoint]\nurl = "http://127.0.0.1:{port}"\n')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAUDAL_")} | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "up"], cwd=tmp_path, env=environment, stdout=log, stderr=log)

    def run(*words):
        done = subprocess.run([*COMMAND, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "up.log").read_text()
        return done.stdout

    yield run, tmp_path
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def until_delivered(run, records):
    """Wait until both deliveries have so many records, and say what they count."""
    deadline = time.monotonic() + 60
    while True:
        shards = json.loads(run("verify", "--json"))["shards"]
        found = {t: sum(s["delivered"] for s in shards if s["table"] == t) for t in ("sale", "sale_csv")}
        if set(found.values()) == {records} or time.monotonic() > deadline:
            return sum(s["quarantined"] for s in shards), found
        time.sleep(0.1)


def test_a_rename_reaches_the_parts_that_run(shop):
    run, folder = shop
    run("put", "sale", '{"sale_id":"a","qty":1}')
    assert until_delivered(run, 1) == (0, {"sale": 1, "sale_csv": 1})
    (folder / "pipeline.py").write_text(re.sub("    qty: int", '    quantity: Annotated[int, renamed("qty")]', PIPELINE))
    run("apply")
    run("put", "sale", '{"sale_id":"b","quantity":2}')
    assert until_delivered(run, 2) == (0, {"sale": 2, "sale_csv": 2})
    for table in ("sale", "sale_csv"):
        rows = json.loads(run("query", f"SELECT sale_id, quantity FROM {table} ORDER BY sale_id", "--json"))
        assert rows == [{"sale_id": "a", "quantity": 1}, {"sale_id": "b", "quantity": 2}]
    assert "tables have changed: starting again with today's pipeline file" in (folder / "up.log").read_text()
