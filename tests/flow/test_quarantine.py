"""Quarantine as somebody works on it from the command line."""

import base64
import json
import threading
import time

import pytest

from caudal.loader import load_pipeline
from caudal.parts import run_writer
from tests.flow.test_cli import Shell

PIPELINE = '''
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from caudal import Delivery, Digits, Pipeline, personal

shop = Pipeline("shop")


@shop.table(key=("sale_id",), deliveries=[Delivery("parquet"), Delivery("csv")])
class Sale:
    sale_id: str
    quantity: int
    amount: Annotated[Decimal, Digits(12, 2)] | None
    note: Annotated[str | None, personal]


@shop.events()
class Click:
    page: str
    seconds: int
'''


@pytest.fixture
def shell(tmp_path):
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    return Shell(tmp_path)


def load(shell, table, name, text, code=1):
    (shell.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    shell("import", table, name, *(["--locale", "de_DE"] if name.startswith("de") else []), code=code)
    shell("flush")


def balanced(shell):
    found = shell.json("verify")
    assert found["ok"]
    return {(s["table"], "quarantined"): s["quarantined"] for s in found["shards"]} and sum(s["quarantined"] for s in found["shards"])


BAD = 'sale_id,quantity,amount,note\na,two,1.50,hello\nb,3,"1,5",secret\nc,4,2.00,fine\nd,five,,\n'


def test_list_counts_by_reason_shard_and_time_and_is_searchable(shell):
    load(shell, "sale", "bad.csv", BAD)
    found = shell.json("quarantine", "list", "sale")
    assert {(one["table"], one["reason"]): one["records"] for one in found} == {
        (table, "number_format"): 3 for table in ("sale", "sale_csv")
    }
    by_shard = shell.json("quarantine", "list", "sale", "--by", "shard")
    assert sum(one["records"] for one in by_shard) == 6 and all(one["shard"].isdecimal() for one in by_shard)
    day = shell.json("quarantine", "list", "sale", "--by", "day")
    assert len(day) == 2 and len(day[0]["day"]) == 10
    assert shell("quarantine", "list", "--since", "2100-01-01") == "nothing is in quarantine\n"
    assert shell("quarantine", "list", "--until", "2000-01-01T00:00+02:00") == "nothing is in quarantine\n"
    assert sum(one["records"] for one in shell.json("quarantine", "list", "--since", "1h", "--contains", "hello")) == 2
    assert len(shell.json("quarantine", "list", "--by", "shard", "--limit", "1")) == 2
    assert shell.refuses("quarantine", "list", "--since", "soon")[0] == "caudal: --since soon: not a time"
    assert shell.refuses("quarantine", "list", "--by", "colour")[1] == "  use reason, shard, day or hour"


def test_lines_of_an_import_are_shown_with_personal_columns_masked(shell):
    load(shell, "sale", "bad.csv", BAD)
    shown = shell("quarantine", "show", "sale")
    assert "secret" not in shown and '"***"' in shown and '"two"' in shown


def test_an_edited_line_is_imported_and_its_original_kept(shell):
    load(shell, "sale", "bad.csv", BAD)
    dry = shell.json("quarantine", "replay", "sale", "--contains", '"two"', "--set", "quantity=2", "--dry-run")
    assert [one["imported"] for one in dry] == [1, 1] and dry[0]["records"][0]["outcome"] == "imported"
    shell.refuses("get", "sale", "a", code=1)
    done = shell.json("quarantine", "replay", "sale", "--contains", '"two"', "--set", "quantity=2")
    assert [(one["imported"], one["still_rejected"]) for one in done] == [(1, 0), (1, 0)]
    assert json.loads(shell("get", "sale", "a")) == {"sale_id": "a", "quantity": 2, "amount": 1.5, "note": "hello"}
    shell("flush")
    for table in ("sale", "sale_csv"):
        assert shell.json("query", f"SELECT quantity FROM {table} WHERE sale_id = 'a'") == [{"quantity": 2}]
    [kept, _] = shell.json("quarantine", "audit", "sale")
    assert (kept["outcome"], kept["original"], kept["edited"]) == ("imported", '"a","two","1.50","***"', '"a","2","1.50","***"')
    assert "hello" in shell("quarantine", "audit", "sale", "--raw")
    assert balanced(shell) == 4
    assert shell.json("quarantine", "replay", "sale", "--contains", '"two"')[0]["imported"] == 0


def test_a_line_does_not_replace_what_the_shop_has_written_since(shell):
    load(shell, "sale", "bad.csv", BAD)
    shell("put", "sale", '{"sale_id": "d", "quantity": 7}')
    done = shell.json("quarantine", "replay", "sale", "--contains", "five", "--set", "quantity=5", code=1)
    assert [one["reasons"] for one in done] == [{"item_exists": 1}] * 2
    assert json.loads(shell("get", "sale", "d"))["quantity"] == 7
    shell("quarantine", "replay", "sale", "--contains", "five", "--set", "quantity=5", "--overwrite")
    assert json.loads(shell("get", "sale", "d")) == {"sale_id": "d", "quantity": 5}
    shell("flush")
    assert balanced(shell) == 4


def test_numbers_of_a_line_are_read_as_its_file_writes_them(shell):
    load(shell, "sale", "de.csv", 'sale_id,quantity,amount\na,x,"1.234,50"\n')
    shell("quarantine", "replay", "sale", "--set", "quantity=1.000", "--set", "amount=1.234,50")
    assert json.loads(shell("get", "sale", "a")) == {"sale_id": "a", "quantity": 1000, "amount": 1234.5}


@pytest.mark.parametrize(("name", "text"), [
    ("bad.csv", "page,seconds\n/tea,long\n/milk,2\n"), ("bad.jsonl", '{"page": "/tea", "seconds": "long"}\n{"page": "/milk", "seconds": 2}\n'),
])
def test_a_line_of_events_becomes_its_event_once(shell, name, text):
    load(shell, "click", name, text)
    for delivered in (1, 0):
        assert shell.json("quarantine", "replay", "click", "--set", "seconds=9")[0]["delivered"] == delivered
    assert shell.json("query", "SELECT page, seconds FROM click ORDER BY page") == [
        {"page": "/milk", "seconds": 2}, {"page": "/tea", "seconds": 9},
    ]
    assert balanced(shell) == 0


def test_c07_a_short_line_is_given_whole(shell):
    load(shell, "sale", "bad.csv", "sale_id,quantity,amount\n1,2,3\n2,5\n3,4,5,extra\n")
    counts = {one["reason"]: one["records"] for one in shell.json("quarantine", "list", "sale_csv")}
    assert counts == {"too_few_fields": 1, "too_many_fields": 1}
    [short] = shell.json("quarantine", "show", "sale_csv", "--reason", "too_few_fields", "--raw")
    assert base64.b64decode(short["base64"]) == b"2,5"
    (shell.folder / "whole.csv").write_text("2,5,6.00\n")
    assert shell.refuses("quarantine", "replay", "sale", "--edit", "whole.csv")[0] == "caudal: --edit is for one record"
    place = ("--shard", str(short["shard"]), "--position", str(short["position"]))
    assert shell.json("quarantine", "replay", "sale", *place, code=1)[0]["reasons"] == {"csv_fields": 1}
    assert shell.json("quarantine", "replay", "sale", *place, "--edit", "whole.csv")[0]["imported"] == 1
    assert json.loads(shell("get", "sale", "2")) == {"sale_id": "2", "quantity": 5, "amount": 6}
    [kept] = shell.json("quarantine", "audit", "sale_csv", "--raw")
    assert (kept["original"], kept["edited"]) == ("2,5", "2,5,6.00")


def test_a_change_of_the_store_is_edited_in_place(shell):
    shell("put", "sale", '{"sale_id": "a", "quantity": "two", "amount": 1234567890.25, "note": "n"}')
    shell("flush")
    assert shell.refuses("quarantine", "replay", "sale", "--set", "qantity=2")[1] == "  did you mean quantity?"
    shell.refuses("quarantine", "replay", "sale", "--set", "quantity=two")
    assert shell.json("quarantine", "replay", "sale", "--set", "sale_id=b", code=1)[0]["reasons"] == {"edited_key": 1}
    dry = shell("quarantine", "replay", "sale", "--dry-run", code=1).splitlines()
    assert "would stay: wrong_type: quantity is text, not bigint" in dry[0]
    assert dry[2] == "sale: would be 0 delivered, 0 dropped, 1 still in quarantine (wrong_type 1)"
    assert shell.json("quarantine", "replay", "sale", "--set", "quantity=2")[0]["delivered"] == 1
    [row] = shell.json("query", "SELECT quantity, CAST(amount AS varchar) AS amount, note FROM sale")
    assert row == {"quantity": 2, "amount": "1234567890.25", "note": "n"}
    assert balanced(shell) == 0


def test_what_is_discarded_is_accounted_for_with_its_note(shell):
    load(shell, "sale", "bad.csv", BAD)
    assert shell.refuses("quarantine", "discard", "sale", "--note", "x")[0] == "caudal: which records?"
    shell.refuses("quarantine", "discard", "sale", "--all", "--note", " ")
    assert shell("quarantine", "discard", "sale", "--contains", "secret", "--note", "a test", "--dry-run") == (
        "sale: 1 would be discarded\nsale_csv: 1 would be discarded\n"
    )
    assert balanced(shell) == 6
    assert shell.json("quarantine", "discard", "sale", "--contains", "secret", "--note", "a test")[0]["discarded"] == 1
    assert balanced(shell) == 4
    assert {table["table"]: table["quarantined"] for table in shell.json("status")["tables"]}["sale"] == 2
    shown = shell("quarantine", "audit", "sale")
    assert "discarded at" in shown and "a test" in shown and "secret" not in shown
    assert shell.json("quarantine", "discard", "sale", "--all", "--note", "rest")[0]["discarded"] == 2
    assert shell("quarantine", "list") == "nothing is in quarantine\n"
    assert balanced(shell) == 0


def test_a_spent_error_budget_pauses_its_delivery_alone_until_it_is_resumed(shell):
    pipeline = shell.folder / "pipeline.py"
    pipeline.write_text(PIPELINE.replace("import Delivery,", "import Delivery, ErrorBudget,").replace(
        'Delivery("parquet")', 'Delivery("parquet", error_budget=ErrorBudget(0.01, at_least=2))'
    ))
    for n in range(5):
        shell("put", "sale", json.dumps({"sale_id": f"s{n}", "quantity": n if n < 2 else "many", "note": "secret"}))
    out = shell("flush", code=1)
    assert "sale_csv: 5 records delivered, 3 of them to quarantine\n" in out and "\nsale:" not in f"\n{out}"
    what, hint = shell.errors.splitlines()
    assert what.startswith("caudal: table sale is paused: 3 of the last 5 records do not fit, and its error budget is 0.01: ")
    assert "wrong_type 3" in what and "secret" not in what
    assert hint == "  mend the pipeline file or the source, then `caudal resume sale`"
    status = {one["table"]: one for one in shell.json("status", code=1)["tables"]}
    assert status["sale"]["paused"].startswith("3 of the last 5") and status["sale"]["waiting"] == 5
    assert not status["sale_csv"]["paused"] and status["click"]["paused_since"] is None
    shell("status", code=1)
    assert "caudal resume sale" in shell.errors and "sale is paused since 20" in shell.errors
    assert shell("resume", "sale") == "sale: goes on\nsale_csv: was not paused\n"
    assert shell.json("resume", "sale") == [{"table": "sale", "resumed": False}, {"table": "sale_csv", "resumed": False}]
    shell("flush")
    assert shell.json("status")["ok"] and balanced(shell) == 6


def test_a_running_writer_goes_on_by_itself_once_its_table_is_resumed(shell):
    pipeline = shell.folder / "pipeline.py"
    pipeline.write_text(PIPELINE.replace("import Delivery,", "import Delivery, ErrorBudget,").replace(
        'Delivery("parquet")', 'Delivery("parquet", buffer_seconds=0, error_budget=ErrorBudget(0.01, at_least=1))'
    ))
    shell("put", "sale", '{"sale_id": "a", "quantity": "many"}')
    loaded, config = load_pipeline(pipeline)
    stop = threading.Event()
    with loaded.open(config) as stages:
        running = threading.Thread(target=run_writer, args=(stages, stop))
        running.start()
        try:
            until(lambda: stages.catalog.flow("sale").paused)
            shell("put", "sale", '{"sale_id": "b", "quantity": 1}')
            status = shell.json("status", code=1)
            assert not status["errors"] and status["tables"][0]["paused"]
            shell("resume", "sale")
            until(lambda: sum(stages.catalog.snapshot("sale").positions.values()) == 2)
            assert stages.query.execute("SELECT sale_id FROM sale").to_pylist() == [{"sale_id": "b"}]
        finally:
            stop.set()
            running.join()
    assert shell.json("status")["ok"]


def until(reached, seconds=20.0):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)
