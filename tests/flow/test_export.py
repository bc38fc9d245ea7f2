"""`caudal export` as somebody types it."""

import csv
import json

import pyarrow.parquet as pq
import pytest

from tests.flow.test_cli import Shell
from tests.flow.test_quarantine import PIPELINE


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    shell = Shell(tmp_path_factory.mktemp("export"))
    (shell.folder / "pipeline.py").write_text(PIPELINE)
    for n, note in enumerate(["=1+1", "secret", None]):
        shell("put", "sale", json.dumps({"sale_id": f"-s{n}", "quantity": n, "amount": "0.01", "note": note}))
    shell("flush")
    return shell


def test_a_table_for_people_has_no_formula_and_no_personal_value(shell):
    out = shell("export", "sale", "sale.csv")
    assert out.startswith("sale.csv: 3 rows, ") and shell.errors == "note: personal, and masked; --personal writes them\n"
    rows = list(csv.DictReader((shell.folder / "sale.csv").read_text().splitlines()))
    assert sorted((row["sale_id"], row["quantity"], row["note"]) for row in rows) == [
        ("'-s0", "0", "***"), ("'-s1", "1", "***"), ("'-s2", "2", ""),
    ]
    assert shell.refuses("export", "sale", "sale.csv") == [
        "caudal: sale.csv: is there already", "  give another name, or --force to replace it",
    ]
    shell("export", "sale", "sale.csv", "--force", "--personal")
    assert "'=1+1" in (shell.folder / "sale.csv").read_text()
    shell("export", "sale", "verbatim.csv", "--for", "tools", "--personal")
    assert ",=1+1\n" in (shell.folder / "verbatim.csv").read_text()


def test_a_query_may_name_what_it_means(shell):
    found = shell.json("export", "SELECT note AS remark, quantity FROM sale ORDER BY quantity", "remark.jsonl")
    assert found["rows"] == 3 and found["masked"] == []
    assert json.loads((shell.folder / "remark.jsonl").read_text().splitlines()[1]) == {"remark": "secret", "quantity": 1}
    shell("export", "sale_history", "history.parquet", "--at", "sale=1")
    kept = pq.read_table(shell.folder / "history.parquet")
    assert len(kept) == 3 and set(kept["note"].to_pylist()) == {"***", None} and "_event_id" in kept.column_names


def test_sagemaker_gets_numbers_with_the_label_first(shell):
    sql = "SELECT amount, quantity, quantity > 1 AS many FROM sale ORDER BY quantity"
    shell("export", sql, "train.csv", "--for", "sagemaker", "--label", "many")
    assert (shell.folder / "train.csv").read_text() == "0,0.01,0\n0,0.01,1\n1,0.01,2\n"
    assert shell.refuses("export", "sale", "no.csv", "--for", "sagemaker")[0] == "caudal: column note is personal"
    assert shell.refuses("export", "SELECT sale_id FROM sale", "no.csv", "--for", "sagemaker")[0].startswith("caudal: column sale_id")
    lost = "SELECT nullif(quantity, 2) AS y FROM sale ORDER BY quantity"
    assert shell.refuses("export", lost, "no.csv", "--for", "sagemaker", "--label", "y", code=1)[0].endswith("in row 3")
    assert not (shell.folder / "no.csv").exists()


def test_wrong_usage_writes_nothing(shell):
    for words in (("sale", "a.txt"), ("sale", "a.parquet", "--for", "people"), ("sale", "a.csv", "--label", "quantity"),
                  ("nothing", "a.csv"), ("SELECT 1; SELECT 2", "a.csv"), ("sale", "none/a.csv")):
        shell.refuses("export", *words)
    assert not list(shell.folder.glob("a.*"))
