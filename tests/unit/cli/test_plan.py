"""`caudal plan` and `caudal apply`: what changes, whom it breaks, and that the data lives on."""

import json
import shutil

import pytest

from caudal.cli.endings import run

PIPELINE = """
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from caudal import Delivery, Digits, Pipeline, personal, renamed

shop = Pipeline("shop")

def checked(item):
    return item

@shop.table(key=["sale_id"], deliveries=[Delivery(), Delivery("csv", transform=checked)])
class Sale:
    sale_id: str
    qty: int
    note: Annotated[str | None, personal]
    sold_on: date

shop.recommender("train_als", interactions=
    "SELECT sale_id AS user, sale_id AS item, CAST(sold_on AS timestamp) AS time, qty AS weight FROM sale")
"""
SALES = '{"sale_id":"a","qty":1,"note":"for ann","sold_on":"2026-01-02"}\n{"sale_id":"b","qty":2,"sold_on":"2026-01-03"}\n'


class Shop:
    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.text = PIPELINE
        self.edit()

    def edit(self, *pairs):
        """Change the pipeline file."""
        for old, new in pairs:
            assert old in self.text
            self.text = self.text.replace(old, new)
        (self.folder / "pipeline.py").write_text(self.text)

    def __call__(self, *words, code=0):
        assert run(["--pipeline", str(self.folder / "pipeline.py"), *words]) == code, self.capsys.readouterr()
        printed = self.capsys.readouterr()
        self.errors = printed.err
        return printed.out

    def changes(self, *words, code=0):
        """Kind, column and certain users of each change."""
        found = json.loads(self("plan", *words, "--json", code=code))
        assert found["ok"] == (code == 0)
        return [(t["table"], c["kind"], c["column"], [u["name"] for u in c["used_by"]]) for t in found["tables"] for c in t["changes"]]

    def rows(self, columns, table="sale"):
        return json.loads(self("query", f"SELECT {columns} FROM {table} ORDER BY sale_id", "--json"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The folder of a shop with two sales in its lake."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "sales.jsonl").write_text(SALES)
    for words in (["import", "sale", str(folder / "sales.jsonl")], ["flush"]):
        assert run(["--pipeline", str(folder / "pipeline.py"), *words]) == 0
    return folder


@pytest.fixture
def shop(filled, tmp_path, capsys):
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return Shop(tmp_path, capsys)


RENAME = ("    qty: int", '    quantity: Annotated[int, renamed("qty")]')


def test_a_plan_of_nothing_says_so_and_of_no_lake_too(shop, tmp_path, capsys):
    assert shop("plan") == "nothing to change: the lake is as the pipeline file says\n"
    (tmp_path / "new").mkdir()
    assert Shop(tmp_path / "new", capsys)("plan") == "sale: new, 4 columns\nsale_csv: new, 4 columns\n"


def test_a_table_that_is_no_longer_declared_is_told_of_and_stays(shop):
    shop.edit((', Delivery("csv", transform=checked)', ""))
    assert shop("plan") == shop("apply") == "sale_csv: no longer declared; its rows stay, and nothing more is delivered to it\n"
    assert len(shop.rows("qty", "sale_csv")) == 2


def test_harmless_changes_apply_by_themselves_and_old_rows_are_read_with_the_new_type(shop):
    shop.edit(("qty: int", "qty: Annotated[Decimal, Digits(22, 3)] | None"), ("    sold_on", "    coupon: str | None\n    sold_on"))
    assert shop.changes() == [
        (table, kind, column, users) for table in ("sale", "sale_csv")
        for kind, column, users in (("widened", "qty", ["train_als"] if table == "sale" else []), ("added", "coupon", []))
    ]
    assert [shop.rows("qty, coupon", table) for table in ("sale", "sale_csv")] == [
        [{"qty": 1.000, "coupon": None}, {"qty": 2.000, "coupon": None}]] * 2
    assert shop("plan") == "nothing to change: the lake is as the pipeline file says\n"


def test_o04_a_rename_names_who_breaks_and_fails(shop):
    shop.edit(RENAME)
    assert shop.changes(code=1) == [("sale", "renamed", "quantity", ["train_als"]), ("sale_csv", "renamed", "quantity", [])]
    shop("apply", code=1)
    assert "caudal: table sale: column qty is renamed to quantity, and would break what reads it" in shop.errors
    assert "used by recommender train_als\n" in shop.errors and "nothing was applied" in shop.errors
    shop.edit(('quantity: Annotated[int, renamed("qty")]', "quantity: int | None"))
    assert ("sale", "refused", "qty", ["train_als"]) in shop.changes(code=1)


def test_a_rename_waits_for_apply_and_keeps_data_of_files_stream_and_store(shop):
    shop("put", "sale", '{"sale_id":"c","qty":3,"sold_on":"2026-01-04"}')  # still in the stream
    shop.edit(RENAME, ("qty AS weight", "quantity AS weight"))
    shop("flush", code=2)
    assert "column quantity is renamed from qty, and that is not applied yet" in shop.errors and "caudal apply" in shop.errors
    assert "column qty is renamed to quantity" in shop("apply")
    shop("put", "sale", '{"sale_id":"d","quantity":4,"sold_on":"2026-01-05"}')
    shop("flush")
    for table in ("sale", "sale_csv"):
        assert shop.rows("sale_id, quantity", table) == [{"sale_id": s, "quantity": n} for n, s in enumerate("abcd", 1)]
    assert json.loads(shop("get", "sale", "a"))["quantity"] == 1
    assert shop("verify").endswith("nothing lost, nothing twice\n")
    shop.edit(("renamed(\"qty\")", "renamed(\"qty\"), renamed(\"quantity\")"), ("    quantity: Ann", "    units: Ann"),
              ("quantity AS weight", "units AS weight"))
    shop("apply")
    assert shop.rows("units") == [{"units": n} for n in (1, 2, 3, 4)]


def test_a_transform_and_a_file_of_sql_that_read_the_old_name_are_named(shop):
    (shop.folder / "reports").mkdir()
    (shop.folder / "reports" / "daily.sql").write_text("SELECT sum(qty) FROM sale_history")
    (shop.folder / "odd.sql").write_text("SELECT median(qty) FROM sale, nowhere")
    shop.edit(RENAME, ("qty AS weight", "quantity AS weight"), ("    return item", '    return item if item["qty"] else None'))
    assert shop.changes(code=1) == [
        ("sale", "renamed", "quantity", ["checked", "odd.sql", "reports/daily.sql"]),
        ("sale_csv", "renamed", "quantity", ["checked"]),
    ]
    shop("plan", code=1)
    assert "used by transform checked (delivery sale_csv, pipeline.py:10)\n" in shop.errors
    assert "used by query odd.sql, as it seems: it names the column\n" in shop.errors
    shop.edit(('if item["qty"] else None', ""))
    (shop.folder / "reports" / "daily.sql").write_text("SELECT sum(quantity) FROM sale_history")
    assert "used by query odd.sql, as it seems" in shop("apply")


def test_a_transform_that_makes_a_renamed_column_is_shown_as_a_guess(shop):
    shop.edit(("def checked(item):\n    return item", """class Amount:
    amount: int | None

def amounts(item):
    return {"amount": item["qty"] * 100}"""), ("transform=checked", "transform=amounts, into=Amount"))
    shop("flush")
    shop.edit(("    amount: int | None", '    total: Annotated[int | None, renamed("amount")]'))
    assert shop.changes() == [("amount", "renamed", "total", ["amounts"])]
    assert "used by transform amounts (delivery amount, pipeline.py:13), as it seems" in shop("apply")
    shop.edit(('{"amount":', '{"total":'))
    shop("put", "sale", '{"sale_id":"c","qty":3,"sold_on":"2026-01-04"}')
    shop("flush")
    assert json.loads(shop("query", "SELECT total FROM amount ORDER BY total", "--json")) == [{"total": n} for n in (100, 200, 300)]


def test_a_column_is_hidden_on_purpose_and_comes_back_with_its_data(shop):
    shop.edit(("    note: Annotated[str | None, personal]\n", ""))
    shop("flush", code=2)
    assert "column note is gone" in shop.errors and "caudal apply --drop sale.note" in shop.errors
    assert ("sale", "refused", "note", []) in shop.changes(code=1)
    assert shop.changes("--drop", "sale.note") == [("sale", "dropped", "note", []), ("sale_csv", "dropped", "note", [])]
    shop("apply", "--drop", "sale_csv.note", code=1)
    shop("apply", "--drop", "sale.note")
    shop("put", "sale", '{"sale_id":"c","qty":3,"note":"unseen","sold_on":"2026-01-04"}')
    shop("flush")
    assert "note" not in shop.rows("*")[0]
    assert "  hidden, with their data kept: note\n" in shop("tables", "sale")
    shop.edit(("    sold_on", "    note: Annotated[str | None, personal]\n    sold_on"))
    assert shop.changes() == [("sale", "restored", "note", []), ("sale_csv", "restored", "note", [])]
    assert [row["note"] for row in shop.rows("note")] == ["for ann", None, None]


@pytest.mark.parametrize(("drop", "line"), [
    ("note", "--drop note: not TABLE.COLUMN"), ("sales.note", "--drop sales.note: no table sales"),
])
def test_a_wrong_drop_is_wrong_usage(shop, drop, line):
    shop("apply", "--drop", drop, code=2)
    assert line in shop.errors and shop.errors.count("\n") == 2


def test_dropping_what_is_used_or_still_declared_is_refused(shop):
    shop("apply", "--drop", "sale.qty", code=1)
    assert "column qty is to be dropped, and it is still declared" in shop.errors
    shop.edit(("    qty: int\n", ""))
    shop("apply", "--drop", "sale.qty", code=1)
    assert "column qty is to be hidden, and would break what reads it" in shop.errors and "recommender train_als" in shop.errors
