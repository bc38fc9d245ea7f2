"""Iceberg tables from the command line, and by `caudal up`."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CAUDAL_")} | {"PYTHONPATH": str(ROOT)}
PIPELINE = '''
from caudal import Delivery, Pipeline

shop = Pipeline("shop")


@shop.table(key=("id",), deliveries=[Delivery(), Delivery("iceberg", buffer_seconds=0.05)])
class Item:
    id: str
    price: int


@shop.table(key=("id",))
class Plain:
    id: str
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    return tmp_path


def caudal(folder, *words, code=0):
    command = [sys.executable, "-W", "error", "-m", "caudal.cli", *words]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def shown(folder):
    catalog = SqlCatalog("caudal", uri=f"sqlite:///{folder}/caudal-data/iceberg.db")
    try:
        return catalog.load_table("shop.item_iceberg").scan().to_arrow().to_pylist()
    finally:
        catalog.close()


def test_publish_says_what_it_did_and_where_the_tables_are(folder):
    caudal(folder, "put", "item", '{"id": "tea", "price": 199}')
    caudal(folder, "flush")
    assert shown(folder) == [{"id": "tea", "price": 199}]
    again = json.loads(caudal(folder, "publish", "--json"))
    assert [(one["table"], one["version"], one["added"], one["removed"]) for one in again] == [
        ("item_iceberg_history", 1, 0, 0), ("item_iceberg", 1, 0, 0),
    ]
    assert all(Path(one["location"].removeprefix("file://")).exists() for one in again)
    assert "item_iceberg_history" in caudal(folder, "publish", "item")


def test_a_table_of_another_format_is_refused(folder):
    lines = caudal(folder, "publish", "plain", code=2).splitlines()
    assert lines == ["caudal: table plain is delivered as parquet", '  give it a Delivery("iceberg") in the pipeline file']


@pytest.mark.slow
def test_up_publishes_by_itself(folder):
    environment = ENVIRONMENT | {"CAUDAL_ICEBERG_EVERY_SECONDS": "0.2", "CAUDAL_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    caudal(folder, "put", "item", '{"id": "tea", "price": 199}')
    up = subprocess.Popen([sys.executable, "-m", "caudal.cli", "up"], cwd=folder, env=environment, stdout=subprocess.PIPE)
    try:
        caudal(folder, "put", "item", '{"id": "tea", "price": 249}')
        until = time.monotonic() + 60
        found = []
        while found != [{"id": "tea", "price": 249}]:
            assert up.poll() is None and time.monotonic() < until, found
            time.sleep(0.1)
            with contextlib.suppress(NoSuchTableError):
                found = shown(folder)
    finally:
        up.terminate()
        up.communicate(timeout=60)
    assert up.returncode == 0
