"""Attributes that the contract does not know are found, counted and shown without their values."""

import json
from decimal import Decimal
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal import Pipeline, renamed
from caudal.cli.endings import run
from caudal.config import Config
from caudal.drift import masked, read_drift
from caudal.ingest.changes import encode_rejected


@pytest.fixture
def stages(tmp_path):
    pipeline = Pipeline("shop")

    @pipeline.table(key=["sale_id"])
    class Sale:
        sale_id: str
        quantity: Annotated[int, renamed("qty")]

    @pipeline.events()
    class View:
        product_id: str

    with pipeline.open(Config(folder=str(tmp_path))) as opened:
        yield opened


def test_what_the_contract_knows_is_no_drift_by_any_name(stages):
    stages.store.put_batch("sale", [{"sale_id": "a", "quantity": 1}, {"sale_id": "b", "qty": 1}])
    found = read_drift(stages, "sale", 100)
    assert (found.items, found.records, found.unknown) == (2, 2, [])


def test_dy06_an_attribute_is_counted_by_type_with_when_it_was_seen_and_its_shape(stages):
    stages.store.put_batch("sale", [
        {"sale_id": f"s{n}", "quantity": 1, "mail": "Ann.Lee7@example.org", **({"gift": True} if n else {}),
         "weight": ["2", 2, Decimal("2.5"), None][n], "box": {"a": 1}, "raw": b"x", "tags": [1, 2]} for n in range(4)
    ])
    found = {seen.attribute: seen for seen in read_drift(stages, "sale", 100).unknown}
    assert list(found) == ["box", "mail", "raw", "tags", "weight", "gift"]
    mail, weight = found["mail"], found["weight"]
    assert (mail.items, mail.records, dict(mail.types), mail.declare) == (4, 4, {"text": 8}, "mail: str | None")
    assert mail.examples == ["xxx.xxx9@xxxxxxx.xxx"] and 0 < mail.first_seen <= mail.last_seen
    assert dict(weight.types) == {"text": 2, "whole number": 2, "decimal": 2, "null": 2}
    assert (weight.examples, weight.declare) == (["9", "9.9"], "")
    assert [found[name].examples for name in ("box", "raw", "tags", "gift")] == [["object of 1"], ["bytes"], ["list of 2"], ["boolean"]]


def test_a_column_in_another_spelling_is_named(stages):
    stages.store.put("sale", {"sale_id": "a", "Quantity": 1, "saleId": "a", "colour": "red"})
    assert {seen.attribute: seen.near for seen in read_drift(stages, "sale", 9).unknown} == {
        "Quantity": "quantity", "saleId": "sale_id", "colour": ""}


def test_only_the_newest_records_are_looked_at_and_what_is_none_is_passed_over(stages):
    stages.events("view").append([{"product_id": "p", "old": 1}] * 50 + [{"product_id": "p", "new": 1}] * 50)
    stages.stream.append("view", [(b"p", b"no json"), (b"p", encode_rejected("e", 1, "wrong_type", "x", b"raw"))])
    found = read_drift(stages, "view", 40)
    assert [seen.attribute for seen in found.unknown] == ["new"] and 0 < found.records <= 40 and found.items == 0


def test_what_left_the_records_that_are_looked_at_is_found_in_the_lake(stages):
    stages.events("view").append([{"product_id": "p", "old": 1, "older": None}] * 5)
    stages.store.put("sale", {"sale_id": "a", "quantity": 1, "gift": "yes"})
    for name in ("sale", "view"):
        stages.writer(name).flush()
    stages.events("view").append([{"product_id": "p", "new": 1}] * 40)
    found = read_drift(stages, "view", 4)
    assert found.rows == 4 and found.records <= 8
    seen = {seen.attribute: seen for seen in found.unknown}
    assert set(seen) >= {"new"} and {seen[name].rows for name in seen} <= {0, 4}
    every = {one.attribute: (one.records, one.rows) for one in read_drift(stages, "view", 1000).unknown}
    assert every == {"new": (40, 0), "old": (5, 0), "older": (5, 0)}  # the stream has them all: none counts twice
    assert [(one.attribute, one.items, one.records, one.rows) for one in read_drift(stages, "sale", 9).unknown] == [("gift", 1, 1, 0)]


@pytest.mark.parametrize(("form", "record"), [
    ("plain", {"id": "a", "gift": 1}),
    ("dynamodb", {"eventID": "e", "eventName": "INSERT", "dynamodb": {
        "ApproximateCreationDateTime": 1767225661, "NewImage": {"id": {"S": "a"}, "gift": {"N": "1"}}}}),
    ("debezium", {"op": "c", "ts_ms": 1767225661573, "source": {"lsn": 1}, "after": {"id": "a", "gift": 1}}),
])
def test_records_of_other_systems_are_looked_at_too(tmp_path, form, record):
    pipeline = Pipeline("shop")

    @pipeline.table(form=form, key=["id"])
    class Sale:
        id: str

    with pipeline.open(Config(folder=str(tmp_path))) as stages:
        stages.stream.append("sale", [(b"a", json.dumps(record).encode() + b"\n"), (b"a", b"oops\n")])
        found = read_drift(stages, "sale", 10)
    assert [(one.attribute, one.records, dict(one.types)) for one in found.unknown] == [("gift", 1, {"whole number": 1})]


@given(st.text(max_size=40) | st.integers() | st.decimals(allow_nan=False))
def test_no_letter_and_no_digit_of_a_value_is_in_its_shape(value):
    shape = masked(value)
    assert set(shape) <= {"x", "9", "?", "…", *(c for c in map(chr, range(32, 127)) if not c.isalnum())} and len(shape) <= 25


def test_the_command_shows_no_value(tmp_path, capsys):
    (tmp_path / "pipeline.py").write_text(
        "from caudal import Pipeline\nshop = Pipeline('shop')\n@shop.table(key=['id'])\nclass Sale:\n    id: str\n    note: str | None\n")
    assert run(["--pipeline", str(tmp_path / "pipeline.py"), "put", "sale", '{"id":"a","mail":"ann@example.org","notes":"secret"}']) == 0
    capsys.readouterr()
    assert run(["--pipeline", str(tmp_path / "pipeline.py"), "drift"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("sale: 1 items, 1 records and 0 earlier rows looked at\n") and "xxx@xxxxxxx.xxx" in printed
    assert 'notes: is it note? Then mark that column renamed("notes")' in printed and "declare mail: str | None" in printed
    assert "ann" not in printed and "secret" not in printed
    assert run(["--pipeline", str(tmp_path / "pipeline.py"), "drift", "sale", "--json"]) == 0
    assert [seen["attribute"] for seen in json.loads(capsys.readouterr().out)[0]["unknown"]] == ["mail", "notes"]
