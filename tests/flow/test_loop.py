"""The whole loop, small: from a write of the shop to SQL and to recommendations."""

import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from shop import make_shop

from caudal.ingest.items import encode_item
from caudal.loader import load_pipeline
from caudal.verify import verify

NOW = datetime.now(UTC).replace(microsecond=123456)
TABLES = ("product", "customer", "sale", "sale_csv", "paid_sale", "view")


def sale(customer, product, days, line=None, **more):
    return {"customer_id": customer, "line_id": line or f"{customer}-{product}", "product_id": product, "quantity": 1,
            "amount": Decimal("1.50"), "status": "paid", "sold_at": NOW - timedelta(days=days), **more}


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """A shop in which people who buy tea buy milk, and people who buy nails buy hammers."""
    pipeline, config = load_pipeline(make_shop(tmp_path_factory.mktemp("corner")))
    with pipeline.open(config) as stages:
        stages.store.put_batch("product", (
            {"product_id": name, "title": name.title(), "stock": 5, "consumable": name in ("tea", "milk", "sugar")}
            for name in ("tea", "milk", "sugar", "nails", "hammer", "saw")
        ))
        stages.store.put("customer", {"customer_id": "c1", "email": "ann@example.org"})
        for n in range(40):
            basket = ("tea", "milk", "sugar") if n % 2 else ("nails", "hammer", "saw")
            stages.store.put_batch("sale", (sale(f"c{n}", product, 40 - n) for product in basket[: 2 + n % 3 // 2]))
        stages.store.put("sale", sale("ann", "tea", 3))
        stages.events("view").append([{"customer_id": "ann", "product_id": "milk", "seen_at": NOW}])
        deliver(stages)
        yield stages


def deliver(stages):
    for name in TABLES:
        writer = stages.writer(name)
        writer.flush()
        writer.close()


def rows(stages, sql):
    return stages.query.execute(sql).to_pylist()


def test_every_delivery_of_a_table_holds_the_same_rows(stages):
    parquet = rows(stages, "SELECT * FROM sale ORDER BY customer_id, line_id")
    assert parquet == rows(stages, "SELECT * FROM sale_csv ORDER BY customer_id, line_id")
    assert len(parquet) == sum(2 + n % 3 // 2 for n in range(40)) + 1
    assert parquet[0]["amount"] == Decimal("1.50") and parquet[0]["sold_at"].microsecond == 123456


def test_an_update_and_a_delete_show_in_current_and_in_history(stages):
    stages.store.put("sale", sale("bob", "saw", 1, status="open"))
    stages.store.update("sale", ("bob", "bob-saw"), {"status": "paid"})
    stages.store.put("sale", sale("bob", "tea", 1))
    stages.store.delete("sale", ("bob", "bob-tea"))
    deliver(stages)
    assert rows(stages, "SELECT product_id, status FROM sale WHERE customer_id = 'bob'") == [{"product_id": "saw", "status": "paid"}]
    history = rows(stages, "SELECT _op, _reason, status FROM sale_history WHERE customer_id = 'bob' ORDER BY _event_time, _position")
    assert sorted((row["_op"], row["_reason"], row["status"]) for row in history if row["_op"] == "delete") == [("delete", "user", "paid")]
    assert len(history) == 4


def test_a_transform_drops_what_it_returns_none_for(stages):
    stages.store.put("sale", sale("eve", "tea", 1, status="open"))
    deliver(stages)
    assert rows(stages, "SELECT count(*) AS n FROM paid_sale WHERE customer_id = 'eve'") == [{"n": 0}]
    assert rows(stages, "SELECT count(*) AS n FROM sale WHERE customer_id = 'eve'") == [{"n": 1}]


def test_a_bad_item_is_quarantined_alone_and_everything_is_accounted_for(stages):
    stages.store.put("sale", {**sale("bad", "tea", 1), "quantity": "many"})
    stages.store.put("sale", sale("good", "tea", 1))
    deliver(stages)
    assert rows(stages, "SELECT customer_id FROM sale WHERE customer_id IN ('bad', 'good')") == [{"customer_id": "good"}]
    found = verify(stages.catalog, stages.files)
    assert found.problems == []
    assert sum(shard.quarantined for shard in found.shards if shard.table == "sale") == 1


def test_training_twice_on_one_snapshot_gives_the_same_bytes(stages):
    recommender = stages.pipeline.recommenders["for_you"]
    first = stages.trainer.train(recommender, seed=7)
    second = stages.trainer.train(recommender, seed=7)
    assert first.checksum == second.checksum and first.snapshot == second.snapshot
    assert second.version == first.version + 1


def call(url, body=None, method=None):
    request = urllib.request.Request(url, data=body, method=method, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def test_a_purchase_over_http_changes_recommendations_and_sql(stages):
    stages.trainer.train(stages.pipeline.recommenders["for_you"], seed=7)
    endpoint = stages.endpoint()
    endpoint.start()
    try:
        url = endpoint.address
        assert call(f"{url}/health")["ready"]
        before = call(f"{url}/v1/recommend/ann?n=3")
        best = before["items"][0]
        assert best["item"] in ("milk", "sugar") and best["reason"]["text"]
        call(f"{url}/v1/items/sale", encode_item(sale("ann", best["item"], 0)), "PUT")
        until = time.monotonic() + 5
        while best["item"] in [i["item"] for i in call(f"{url}/v1/recommend/ann?n=3")["items"]]:
            assert time.monotonic() < until, "the recommendation did not react"
        assert best["item"] in [i["item"] for i in call(f"{url}/v1/recommend/ann?n=3&slot=again")["items"]]
        stages.store.update("product", ["hammer"], {"stock": 0})
        until = time.monotonic() + 5
        while "hammer" in [i["item"] for i in call(f"{url}/v1/recommend/nobody?n=6")["items"]]:
            assert time.monotonic() < until, "a sold-out item is still shown"
    finally:
        endpoint.close()
    deliver(stages)
    assert rows(stages, f"SELECT count(*) AS n FROM sale WHERE customer_id = 'ann' AND product_id = '{best['item']}'") == [{"n": 1}]
    assert verify(stages.catalog, stages.files).ok
