"""`caudal rebuild` and what `status` and `import` say: what is made anew, compared, swapped or given up."""

import json
import os

import pytest

from caudal.cli.endings import run

pytestmark = pytest.mark.slow

PIPELINE = """
from typing import Annotated
from caudal import Delivery, Pipeline, personal

shop = Pipeline("shop")

def made(item):
    return item

@shop.table(key=["sale_id"], deliveries=[Delivery(transform=made)])
class Sale:
    sale_id: str
    qty: int
    buyer: Annotated[str | None, personal]
"""
SALES = "".join(f'{{"sale_id":"s{n}","qty":{n},"buyer":"secret {n}"}}\n' for n in range(6))


class Shop:
    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.edit(PIPELINE)
        (folder / "sales.jsonl").write_text(SALES)
        (folder / "caudal.toml").write_text("[stream]\nshards = 1\n")

    def edit(self, text):
        (self.folder / "pipeline.py").write_text(text)

    def __call__(self, *words, code=0):
        assert run(["--pipeline", str(self.folder / "pipeline.py"), *words]) == code, self.capsys.readouterr()
        printed = self.capsys.readouterr()
        self.errors = printed.err
        return printed.out

    def quantities(self, table="sale"):
        rows = json.loads(self("query", f"SELECT sale_id, qty FROM {table} ORDER BY 1", "--json"))
        return [row["qty"] for row in rows]


@pytest.fixture
def shop(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shop = Shop(tmp_path, capsys)
    shop("import", "sale", "sales.jsonl")
    shop("flush")
    shop.edit(PIPELINE.replace("return item", 'return None if item["qty"] == 1 else item | {"qty": 9 if item["qty"] > 4 else item["qty"],'
                               ' "buyer": None if item["qty"] == 4 else item["buyer"]}'))
    return shop


def test_a_table_is_rebuilt_compared_and_swapped(shop):
    assert shop("rebuild", "sale") == "sale__shadow: 6 records made 5 rows, 1 dropped, 0 quarantined\n"
    assert shop("rebuild", "sale", "--compare").splitlines() == [
        "sale: of 6 records 3 have other rows: 0 added, 1 removed, 2 changed", "  column qty: 1 changed", "  column buyer: 1 changed",
        "  shard 0, position 1", '    - {"sale_id":"s1","qty":1,"buyer":"***"}',
        "  shard 0, position 4", '    - {"sale_id":"s4","buyer":"***"}', '    + {"sale_id":"s4","buyer":null}',
        "  shard 0, position 5", '    - {"sale_id":"s5","qty":5}', '    + {"sale_id":"s5","qty":9}',
    ]
    whole = shop("rebuild", "sale", "--compare", "--json", "--examples", "1")
    found = json.loads(whole)
    assert (found["same"], found["comparison"]["removed"], len(found["comparison"]["examples"])) == (False, 1, 1)
    assert "secret" not in whole
    assert "sale is being rebuilt since" in shop("status") and "swapped or dropped" in shop("status")
    assert json.loads(shop("status", "--json"))["rebuilds"][0]["records"] == 6
    assert shop.quantities() == [0, 1, 2, 3, 4, 5]
    assert shop.quantities("sale__shadow") == [0, 2, 3, 4, 9]
    assert "no longer declared" not in shop("plan")
    assert shop("verify")
    assert shop("rebuild", "sale", "--swap") == "sale: made anew, version 2\n"
    assert shop.quantities() == [0, 2, 3, 4, 9]
    assert shop.quantities("sale FOR VERSION AS OF 1") == [0, 1, 2, 3, 4, 5]
    assert "rebuilt" not in shop("status")
    shop("verify", "--deep")


def test_a_rebuild_is_given_up(shop):
    shop("rebuild", "sale", "--from", "0:5")
    assert shop.quantities("sale__shadow") == [0, 1, 2, 3, 4, 9]
    shop("rebuild", "sale", "--from", "0:4", code=2)
    assert "range is not what its rebuild began with" in shop.errors
    assert shop("rebuild", "sale", "--drop").startswith("sale: as it was; ")
    shop("rebuild", "sale", "--drop", code=2)
    assert "not being rebuilt" in shop.errors
    assert shop.quantities() == [0, 1, 2, 3, 4, 5]


def test_a_range_by_time(shop):
    done = json.loads(shop("rebuild", "sale", "--from", "2026-01-31", "--to", "2100-01-01T00:00:00Z", "--json"))
    assert (done["records"], done["dropped"], done["waiting"], done["behind"]) == (6, 1, 0, 0)


@pytest.mark.parametrize("words,why", [
    (["nothing"], "no table nothing"), (["sale", "--from", "soon"], "neither a time nor"), (["sale", "--to", "0:x"], "neither a time"),
    (["sale", "--swap", "--drop"], "one thing at a time"), (["sale", "--swap", "--from", "0:1"], "one thing at a time"),
    (["sale", "--from", "4:0"], "no shard 4"),
])
def test_what_cannot_be_done_is_said(shop, words, why):
    shop("rebuild", *words, code=2)
    assert why in shop.errors
    assert "sale__shadow" not in shop("tables")


def test_an_import_says_what_it_left_to_the_shop(shop):
    shop("put", "sale", '{"sale_id":"s0","qty":100}')
    shop("delete", "sale", "s1")
    os.utime(shop.folder / "sales.jsonl", (1_767_225_661, 1_767_225_661))
    assert shop("import", "sale", "sales.jsonl") == "sale: 0 written, 4 unchanged, 2 kept live, 0 quarantined\n"
    assert "--as-of now" in shop.errors
    shop("import", "sale", "sales.jsonl", "--as-of", "yesterday", code=2)
    assert "not a time" in shop.errors
    shop("import", "sale", "sales.jsonl", "--as-of", "2126-01-01", code=2)
    assert "future" in shop.errors
    assert json.loads(shop("import", "sale", "sales.jsonl", "--as-of", "2026-01-31T12:00:00Z", "--json"))["kept"] == 2
    assert json.loads(shop("import", "sale", "sales.jsonl", "--as-of", "now", "--json"))["written"] == 2
