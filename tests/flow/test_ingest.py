"""A shop whose orders live in DynamoDB and whose products in PostgreSQL: from files of change records to SQL."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIPELINE = '''
from caudal import Delivery, Pipeline

shop = Pipeline("shop")


@shop.table(key=("order_id",), form="dynamodb", deliveries=[Delivery("parquet"), Delivery("csv")])
class Orders:
    order_id: str
    qty: int


@shop.table(key=("product_id",), form="debezium")
class Product:
    product_id: int
    title: str | None


@shop.events(form="plain")
class Click:
    page: str
'''


def change(id, time, before, after):
    def image(qty):
        return {"order_id": {"S": "o1"}, "qty": {"N": str(qty)}}

    images = {name: image(qty) for name, qty in (("OldImage", before), ("NewImage", after)) if qty is not None}
    name = "INSERT" if before is None else "REMOVE" if after is None else "MODIFY"
    return json.dumps({"eventID": id, "eventName": name, "dynamodb": {"ApproximateCreationDateTime": time, **images}})


@pytest.fixture(scope="module")
def caudal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "orders.jsonl").write_text("\n".join([change("e3", 3000, 2, 3), change("e1", 1000, None, 1), change("e2", 2000, 1, 2), "oops"]))
    (folder / "product.jsonl").write_text(json.dumps({"before": None, "after": {"product_id": 7, "title": "tea"}, "op": "c",
                                                      "source": {"lsn": 5, "ts_ms": 1767225661573}}) + "\nnull\n")
    (folder / "clicks.json").write_text('{"page":"home"}{"page":"tea"}')
    (folder / "more.json").write_text('{\n  "page": "jam"\n}')

    def run(*words, code=0):
        done = subprocess.run([sys.executable, "-W", "error", "-m", "caudal.cli", *words], cwd=folder, capture_output=True, text=True,
                              timeout=60, env={"PYTHONPATH": str(ROOT), "PATH": ""})
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    for _ in range(2):
        assert run("ingest", "orders", "orders.jsonl") == "orders: 4 records appended\n"
        assert json.loads(run("ingest", "product", "product.jsonl", "--json"))["appended"] == 2
    assert run("ingest", "click", "clicks.json", "more.json") == "click: 3 records appended\n"
    run("flush")
    return run


def test_the_state_is_that_of_the_last_change_and_repeats_count_once(caudal):
    for table in ("orders", "orders_csv"):
        assert json.loads(caudal("query", f"SELECT * FROM {table}", "--json")) == [{"order_id": "o1", "qty": 3}]
        assert json.loads(caudal("query", f"SELECT count(*) AS n, sum(qty) AS qty FROM {table}_history", "--json")) == [{"n": 3, "qty": 6}]
    assert json.loads(caudal("query", "SELECT * FROM product", "--json")) == [{"product_id": 7, "title": "tea"}]
    assert json.loads(caudal("query", "SELECT count(*) AS n FROM product_history", "--json")) == [{"n": 1}]
    assert json.loads(caudal("query", "SELECT page FROM click ORDER BY page", "--json")) == [{"page": page} for page in ("home", "jam", "tea")]


def test_every_record_is_accounted_for(caudal):
    caudal("verify")
    delivered = {one["table"]: (one["delivered"], one["quarantined"]) for one in json.loads(caudal("status", "--json"))["tables"]}
    assert delivered == {"orders": (8, 2), "orders_csv": (8, 2), "product": (4, 0), "click": (3, 0)}
    assert caudal("tables", "orders").splitlines()[0] == "orders: items by order_id, in parquet, fed by dynamodb"
    assert {one["reason"] for one in json.loads(caudal("quarantine", "list", "--json"))} == {"invalid_json"}


@pytest.mark.parametrize("words", [
    ("put", "orders", '{"order_id": "o2", "qty": 1}'), ("get", "orders", "o1"), ("delete", "orders", "o1"), ("put", "click", '{"page": "x"}'),
    ("import", "orders", "orders.jsonl"),
])
def test_nobody_writes_here_what_another_system_writes(caudal, words):
    told = caudal(*words, code=2).splitlines()
    assert len(told) == 2 and "another system makes its records" in told[0] and "caudal ingest" in told[1]


def test_a_wrong_form_time_or_file_says_what_to_do(caudal):
    assert "no such file" in caudal("ingest", "orders", "missing.jsonl", code=2)
    assert caudal("ingest", "orders", "orders.jsonl", "--exported", "noon", code=2).splitlines()[1] == "  write it like 2026-01-31T12:00:00Z"
