"""The live state of a table that another system feeds: what was replaced is taken back, and a repeat counts nothing."""

import json
from datetime import UTC, datetime

import pytest

from caudal import Pipeline
from caudal.contract import read_contract
from caudal.ingest.transform import open_transform
from caudal.records import Records
from caudal.serve import replaced
from caudal.serve.replaced import Repeats
from caudal.serve.rows import ImageReader
from caudal.serve.state import LiveState
from caudal.testing.shop import eventually, open_small_shop, shop_of


class Sale:
    sale_id: str
    product_id: str
    quantity: int


def dynamodb(id, time, old, new):
    images = {name: {"sale_id": {"S": "s1"}, "product_id": {"S": "tea"}, "quantity": {"N": str(n)}}
              for name, n in (("OldImage", old), ("NewImage", new)) if n is not None}
    name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    return json.dumps({"eventID": id, "eventName": name, "dynamodb": {"ApproximateCreationDateTime": 1767225661573 + time, **images}}).encode()


def debezium(id, time, old, new, wrapped=True):
    before, after = ({"sale_id": "s1", "product_id": "tea", "quantity": n} if n is not None else None for n in (old, new))
    payload = {"before": before, "after": after, "op": "c" if old is None else "d" if new is None else "u",
               "source": {"lsn": int(id[1:]), "ts_ms": 1767225661573 + time}}
    return json.dumps({"schema": None, "payload": payload} if wrapped else payload).encode()


def bare(id, time, old, new):
    return debezium(id, time, old, new, wrapped=False)


FORMS = pytest.mark.parametrize(("form", "change"), [("dynamodb", dynamodb), ("debezium", debezium), ("debezium", bare)])


def reader(form):
    contract = read_contract(Sale, name="sale", key=["sale_id"], form=form)
    return ImageReader(open_transform("inprocess:", contract, contract, None), contract)


def quantities(images):
    return sorted(images.now["quantity"].to_pylist()), sorted(images.before["quantity"].to_pylist())


@FORMS
def test_a_change_takes_the_image_before_it_back(form, change):
    lines = [change("e1", 1, None, 1), change("e2", 2, 1, 5), b"oops", change("e3", 3, 5, None)]
    assert quantities(reader(form).read(Records.of(0, 0, lines))) == ([1, 5], [1, 5])


@FORMS
def test_a_repeat_is_no_image_but_reading_one_place_again_is_the_same(form, change):
    read = reader(form).read
    first = Records.of(0, 0, [change("e1", 1, None, 1), change("e2", 2, 1, 5)])
    assert quantities(read(first)) == quantities(read(first)) == ([1, 5], [1])
    assert quantities(read(Records.of(0, 2, [change("e2", 2, 1, 5), change("e1", 1, None, 1)]))) == ([], [])


@FORMS
def test_of_several_changes_the_last_by_the_sources_order_is_the_latest(form, change):
    lines = [change("e3", 3, 5, 7), change("e1", 1, None, 1), change("e2", 2, 1, 5)]
    assert quantities(reader(form).read_latest(Records.of(0, 0, lines)))[0] == [7]


def test_only_so_many_event_ids_are_remembered(monkeypatch):
    monkeypatch.setattr(replaced, "REMEMBERED", 2)
    read = reader("dynamodb").read
    read(Records.of(0, 0, [dynamodb(f"e{n}", n, None, n) for n in range(3)]))
    found = read(Records.of(0, 3, [dynamodb("e0", 0, None, 0), dynamodb("e2", 2, None, 2)]))
    assert quantities(found) == ([0], [])
    assert isinstance(reader("dynamodb")._repeats, Repeats) and reader("plain")._repeats is None


@FORMS
def test_what_is_followed_is_what_the_lake_says(tmp_path, form, change):
    shop = Pipeline("foreign")
    shop.table(key=["sale_id"], form=form)(Sale)
    shop.recommender("for_you", interactions="SELECT sale_id AS user, product_id AS item, TIMESTAMP '2026-01-01 00:00:00 UTC' AS time, "
                     "quantity AS weight FROM sale")
    with open_small_shop(tmp_path, shop) as stages:
        found = shop_of(stages)
        state = LiveState(found.recommenders["for_you"], found.transforms, found.query, found.catalog, found.stream)
        state.start()
        lines = [change("e1", 1, None, 1), change("e2", 2, 1, 5), change("e2", 2, 1, 5)]
        stages.stream.append("sale", [(b"s1", line) for line in lines])
        eventually(lambda: all(follower.health().behind == 0 for follower in state.followers))
        rows = state.histories.of("s1").rows
        assert (rows.weights.tolist(), rows.times.tolist()) == ([5.0], [int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6)])
        state.close()
