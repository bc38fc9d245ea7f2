"""Rows that are made anew: other functions, types and formats, events, and what was in quarantine."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import pytest
from rebuild_shop import as_it_is, flush, put, rows, shop, sound

from caudal.contract import Delivery, Digits, day, per_batch, personal
from caudal.errors import ContractError, QueryError
from caudal.ingest.writer.quarantine import waiting
from caudal.lake.catalog import Replay
from caudal.maintain import maintain
from caudal.pipeline import Pipeline
from caudal.rebuild import compare_rebuilt, rebuild, swap_rebuilt

pytestmark = pytest.mark.slow


def test_what_differs_is_counted_and_shown(opened):
    stages = opened(shop(as_it_is))
    put(stages, 0, 20)
    flush(stages)
    stages = opened(shop(lambda item: None if item["qty"] < 3 else [item, item] if item["qty"] == 5 else
                         {**item, "buyer": None} if item["qty"] == 7 else item))
    rebuild(stages, "sale")
    put(stages, 20, 30)  # past what both have
    flush(stages)
    found = compare_rebuilt(stages, "sale", examples=10)
    assert (found.records, found.added, found.removed, found.changed, found.columns) == (5, 1, 3, 1, {"buyer": 1})
    assert not found.same
    by_qty = {(one.before or one.after)[0]["qty"]: one for one in found.examples}
    assert (by_qty[0].before[0]["id"], by_qty[0].after) == ("s0", [])
    assert (by_qty[7].before[0]["buyer"], by_qty[7].after[0]["buyer"]) == ("secret 7", None)
    assert len(by_qty[5].after) == 1
    assert len(compare_rebuilt(stages, "sale", examples=2).examples) == 2


def test_the_same_transform_makes_the_same_rows(opened):
    stages = opened(shop(as_it_is))
    put(stages, 0, 20)
    stages.store.delete("sale", ["s3"])
    flush(stages)
    rebuild(stages, "sale")
    found = compare_rebuilt(stages, "sale")
    assert found.same
    assert sum(found.until.values()) == 21
    swap_rebuilt(stages, "sale")
    assert "s3" not in rows(stages)


def test_other_types_keys_and_formats_are_rebuilt_where_a_contract_cannot_go_by_itself(opened):
    stages = opened(shop())
    put(stages, 0, 20)
    flush(stages)
    changed = Pipeline("shop")

    def with_price(item):
        return {"sale": item["id"], "qty": f"{item['qty']} pieces", "price": Decimal(item["qty"]) / 4, "at": datetime(2026, 1, 2, tzinfo=UTC)}

    class Sold:
        sale: str
        qty: str
        price: Annotated[Decimal, Digits(12, 2)]
        at: datetime

    @changed.table(key=["id"], deliveries=[
        Delivery("csv", transform=with_price, into=Sold, key=["sale"], name="sale", partition=day("at"), compression="gzip"),
    ])
    class Sale:
        id: str
        qty: int
        buyer: Annotated[str | None, personal]

    with pytest.raises(ContractError):
        _ = opened(changed).catalog
    stages = opened(changed, rebuilding="sale")
    rebuild(stages, "sale")
    found = compare_rebuilt(stages, "sale")
    assert (found.columns_added, found.columns_removed) == (["sale", "price", "at"], ["id", "buyer"])
    assert (found.changed, found.columns) == (20, {"qty": 20})
    version = swap_rebuilt(stages, "sale")
    stages = opened(changed)
    assert stages.query.execute("SELECT price FROM sale WHERE sale = 's3'").to_pylist() == [{"price": Decimal("0.75")}]
    with pytest.raises(QueryError, match="expired"):
        stages.query.execute(f"SELECT * FROM sale FOR VERSION AS OF {version - 1}")
    put(stages, 20, 25)
    flush(stages)
    assert stages.query.execute("SELECT count(*) AS n FROM sale").to_pylist() == [{"n": 25}]
    assert maintain(stages).problems == []
    sound(stages)


def test_what_was_discarded_comes_back_for_the_new_transform_to_judge(opened):
    stages = opened(shop(lambda item: {**item, "qty": "none"} if item["qty"] == 3 else item))
    put(stages, 0, 5)
    flush(stages)
    (place,) = [(r.shard, r.position) for r in waiting(stages.catalog, stages.files, "sale")]
    stages.catalog.replay("sale", [Replay(*place, "discarded")], [], 0)
    stages = opened(shop(as_it_is))
    rebuild(stages, "sale")
    swap_rebuilt(stages, "sale")
    assert rows(stages)["s3"] == 3
    assert stages.catalog.replayed("sale") == {}
    sound(stages)


def test_events_and_batch_functions_are_rebuilt_as_well(opened):
    def pipeline(factor):
        made = Pipeline("shop")

        def times(table):
            import pyarrow.compute as pc

            return table.set_column(1, "n", pc.multiply(table["n"], factor))

        @made.events(deliveries=[Delivery(transform=per_batch(times))])
        class View:
            page: str
            n: int

        return made

    stages = opened(pipeline(1))
    stages.events("view").append([{"page": f"p{n}", "n": n} for n in range(30)])
    flush(stages, "view")
    stages = opened(pipeline(3))
    rebuild(stages, "view")
    assert compare_rebuilt(stages, "view").columns == {"n": 29}
    swap_rebuilt(stages, "view")
    assert stages.query.execute("SELECT sum(n) AS n FROM view").to_pylist() == [{"n": 3 * sum(range(30))}]
    sound(stages)
