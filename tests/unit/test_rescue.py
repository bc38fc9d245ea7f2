"""The rescue column from application to SQL: in every format, before and after delivery, in tables older than it."""

from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest

from caudal import Delivery, Pipeline
from caudal.cli.endings import run
from caudal.config import Config
from caudal.contract import Column
from caudal.ingest.changes import encode_put
from caudal.ingest.transform import open_transform
from caudal.lake.formats import encode
from caudal.records import Records
from caudal.testing.query_lake import ORDER, Lake


def open_shop(folder, **columns):
    pipeline = Pipeline("shop")
    deliveries = [Delivery("parquet"), Delivery("csv"), Delivery("iceberg")]
    sale = type("Sale", (), {"__annotations__": {"id": str, **columns}})
    pipeline.table(key=["id"], deliveries=deliveries)(sale)
    return pipeline.open(Config(folder=str(folder)))


TABLES = ("sale", "sale_csv", "sale_iceberg")
KEPT = '{"gift":{"to":"Ann, \\"A\\"","cost":1.50},"none":null}'
ITEMS = [{"id": "a"}, {"id": "b", "gift": {"to": 'Ann, "A"', "cost": Decimal("1.50")}, "none": None}]


def test_every_delivery_and_what_is_not_yet_delivered_show_what_was_rescued(tmp_path):
    with open_shop(tmp_path) as stages:
        stages.store.put_batch("sale", ITEMS)
        for deliver in (False, True):
            for name in TABLES if deliver else ():
                stages.writer(name).flush()
            for name in TABLES:
                found = stages.query.execute(f"SELECT id, _rescued FROM {name}_history ORDER BY id").to_pylist()
                assert found == [{"id": "a", "_rescued": None}, {"id": "b", "_rescued": KEPT}]
                assert stages.query.execute(f"SELECT * FROM {name}").column_names == ["id"]
        asked = "SELECT json_extract_scalar(_rescued, '$.gift.to') AS receiver FROM sale_history WHERE _rescued IS NOT NULL"
        assert stages.query.execute(asked).to_pylist() == [{"receiver": 'Ann, "A"'}]


def test_a_column_that_is_declared_later_takes_new_records_and_the_old_ones_are_read_from_what_was_rescued(tmp_path):
    with open_shop(tmp_path) as stages:
        stages.store.put("sale", {"id": "a", "note": "first"})
        stages.writer("sale").flush()
    with open_shop(tmp_path, note=str | None) as stages:
        stages.store.put("sale", {"id": "b", "note": "second"})
        found = stages.query.execute(
            "SELECT id, note, coalesce(note, json_extract_scalar(_rescued, '$.note')) AS every FROM sale_history ORDER BY id")
        assert found.to_pylist() == [
            {"id": "a", "note": None, "every": "first"}, {"id": "b", "note": "second", "every": "second"}]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_files_from_before_the_rescue_column_read_as_null(format, tmp_path):
    with open_shop(tmp_path) as stages:
        lake = Lake(stages.catalog, stages.files)
        table = lake.declare(ORDER, format)
        row = {"id": "a", "quantity": 1, "_op": "put", "_event_time": 0, "_event_id": "e", "_shard": 0, "_position": 0}
        schema = pa.schema([field for field in ORDER.row_schema if field.name != "_rescued"])
        lake.add_bytes(table, bytes(encode(pa.Table.from_pylist([row], schema), format, "")), 1)
        lake.add(table, [{"id": "b", "quantity": 2, "_rescued": "{}", "_position": 1}])
        found = stages.query.execute("SELECT id, _rescued FROM shop_order_history ORDER BY id")
        assert found.to_pylist() == [{"id": "a", "_rescued": None}, {"id": "b", "_rescued": "{}"}]
        assert stages.query.execute("SELECT id FROM shop_order ORDER BY id")["id"].to_pylist() == ["a", "b"]


def test_an_export_masks_what_was_rescued_unless_it_is_told_not_to(tmp_path, capsys):
    (tmp_path / "pipeline.py").write_text("from caudal import Pipeline\nshop = Pipeline('shop')\n@shop.table(key=['id'])\nclass Sale:\n    id: str\n")
    command = ["--pipeline", str(tmp_path / "pipeline.py")]
    assert run([*command, "put", "sale", '{"id":"a","mail":"ann@example.org"}']) == 0
    query = "SELECT id, _rescued FROM sale_history"
    assert run([*command, "export", query, str(tmp_path / "masked.csv")]) == 0
    assert run([*command, "export", query, str(tmp_path / "whole.csv"), "--personal", "--for", "tools"]) == 0
    assert "ann@example.org" not in capsys.readouterr().out + (tmp_path / "masked.csv").read_text()
    assert "ann@example.org" in (tmp_path / "whole.csv").read_text()


def test_records_that_are_made_of_rows_again_have_what_was_rescued():
    from caudal.ingest.past import _encoded

    wider = replace(ORDER, columns=(*ORDER.columns, Column("gift", "string", nullable=True)))
    first, second = open_transform("inprocess:", ORDER, ORDER, None), open_transform("inprocess:", wider, wider, None)
    line = encode_put("e1", 5, b'{"id":"a","quantity":1,"gift":"yes","cost":1.50}', None)
    rows = first.apply(Records.of(0, 7, [line])).rows
    ((time, again),) = [_encoded(ORDER, rows)[7]]
    made = second.apply(Records.of(0, 7, [again], time)).rows
    assert made.select(["id", "gift", "_event_id", "_rescued"]).to_pylist() == [
        {"id": "a", "gift": "yes", "_event_id": "e1", "_rescued": '{"cost":1.50}'}]
