"""A table made anew beside the one that is shown: by another transform, from the stream and from the lake, and swapped."""

import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import pytest

from caudal.config import Config, MaintainConfig, StreamConfig
from caudal.contract import Delivery, Digits, day, per_batch, personal
from caudal.errors import ContractError, Fenced, NotFound, QueryError, Unavailable, UsageError
from caudal.ingest.writer.quarantine import waiting
from caudal.lake.catalog import Replay, shadow_name
from caudal.maintain import maintain
from caudal.pipeline import Pipeline
from caudal.proof import prove
from caudal.rebuild import (
    Range,
    compare_rebuilt,
    drop_rebuilt,
    open_for_rebuild,
    positions_at,
    rebuild,
    rebuilds,
    swap_rebuilt,
)

pytestmark = pytest.mark.slow

NAME = shadow_name("sale")


def as_it_is(item):
    return item


def doubled(item):
    return {**item, "qty": item["qty"] * 2}


def only_even(item):
    return item if item["qty"] % 2 == 0 else None


def shop(function=None, **more):
    """A pipeline of sales, delivered by a function."""
    pipeline = Pipeline("shop")

    @pipeline.table(key=["id"], deliveries=[Delivery(transform=function, **more)])
    class Sale:
        id: str
        qty: int
        buyer: Annotated[str | None, personal]

    return pipeline


@pytest.fixture
def config(tmp_path):
    return Config(folder=str(tmp_path), stream=StreamConfig(shards=2, retention_hours=0),
                  maintain=MaintainConfig(keep_hours=0, keep_versions=1, orphan_hours=0))


class Opened:
    def __init__(self, config):
        self.config, self.stages = config, None

    def __call__(self, pipeline, rebuilding=""):
        """Today's pipeline file instead of the one before."""
        self.close()
        self.stages = pipeline.open(self.config)
        if rebuilding:
            open_for_rebuild(self.stages, rebuilding)
        return self.stages

    def close(self):
        if self.stages is not None:
            self.stages.close()


@pytest.fixture
def opened(config):
    opened = Opened(config)
    yield opened
    opened.close()


def put(stages, start, stop, table="sale"):
    stages.store.put_batch(table, [{"id": f"s{n}", "qty": n, "buyer": f"secret {n}"} for n in range(start, stop)], size=7)


def flush(stages, name="sale"):
    writer = stages.writer(name)
    writer.flush()
    writer.close()


def rows(stages, name="sale"):
    return {row["id"]: row["qty"] for row in stages.query.execute(f"SELECT id, qty FROM {name}").to_pylist()}


def sound(stages):
    assert prove(stages.catalog, stages.files, stages.stream).problems == []


def test_all_of_history_by_another_function_is_swapped_in_while_the_shop_goes_on(opened):
    stages = opened(shop(as_it_is))
    put(stages, 0, 50)
    flush(stages)
    stages = opened(shop(doubled))
    done = rebuild(stages, "sale")
    assert (done.records, done.waiting, done.behind, done.rows) == (50, 0, 0, 50)
    assert rows(stages) == {f"s{n}": n for n in range(50)}
    assert rows(stages, NAME) == {f"s{n}": 2 * n for n in range(50)}
    put(stages, 50, 60)
    sound(stages)
    version = swap_rebuilt(stages, "sale")
    assert rows(stages) == {f"s{n}": 2 * n for n in range(60)}
    assert rows(stages, f"sale FOR VERSION AS OF {version - 1}") == {f"s{n}": n for n in range(50)}
    put(stages, 60, 70)
    flush(stages)
    assert rows(stages) == {f"s{n}": 2 * n for n in range(70)}
    assert rebuilds(stages) == []
    with pytest.raises(QueryError, match=f"no table {NAME}"):
        rows(stages, NAME)
    sound(stages)


def test_a_writer_from_before_the_swap_delivers_no_more(opened, config):
    old = shop(as_it_is).open(config)
    put(old, 0, 10)
    old.writer("sale").flush()
    stages = opened(shop(doubled))
    rebuild(stages, "sale")
    swap_rebuilt(stages, "sale")
    put(old, 10, 20)
    for _ in range(3):
        with pytest.raises(Fenced):
            old.writer("sale").flush()
    old.close()
    flush(stages)
    assert rows(stages) == {f"s{n}": 2 * n for n in range(20)}
    sound(stages)


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


def test_records_that_left_the_stream_come_from_a_table_that_has_them_as_they_were(opened):
    def pipeline(function):
        made = Pipeline("shop")

        @made.table(key=["id"], deliveries=[Delivery(), Delivery(transform=function, name="sale_made")])
        class Sale:
            id: str
            qty: int
            price: Annotated[Decimal, Digits(38, 10)] | None
            ratio: float | None
            paid: bool | None
            at: datetime | None
            photo: bytes | None
            more: dict | None

        return made

    stages = opened(pipeline(as_it_is))
    items = [
        {"id": f"s{n}", "qty": n, "price": Decimal("1234567890123456789012345678.0123456789"), "ratio": n / 7, "paid": n % 2 == 0,
         "at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "photo": b"\x00\xff", "more": {"a": [1, {"b": None}], "é": "\"x"}}
        for n in range(40)
    ]
    stages.store.put_batch("sale", items, size=4)
    stages.store.put("sale", {"id": "bare", "qty": 7})
    stages.store.put("sale", {"id": "bad", "qty": "many"})
    stages.store.delete("sale", ["s5"], reason="erasure")
    for name in ("sale", "sale_made"):
        flush(stages, name)
    stages.store.put_batch("sale", [{"id": f"t{n}", "qty": n} for n in range(20)], size=2)
    for name in ("sale", "sale_made"):
        flush(stages, name)
    maintain(stages)
    assert any(end.oldest for end in stages.stream.ends("sale").values())
    rebuild(stages, "sale_made")
    found = compare_rebuilt(stages, "sale_made")
    assert (found.examples, found.same) == ([], True)
    swap_rebuilt(stages, "sale_made")
    sound(stages)
    system = "_op, _reason, _event_time, _event_id, _shard, _position"
    sql = f"SELECT *, {system} FROM {{}}_history ORDER BY _shard, _position"
    assert stages.query.execute(sql.format("sale")).to_pylist() == stages.query.execute(sql.format("sale_made")).to_pylist()
    assert stages.catalog.totals("sale_made").quarantined == 1
    stages = opened(pipeline(doubled))
    rebuild(stages, "sale_made")
    swap_rebuilt(stages, "sale_made")
    assert rows(stages, "sale_made") == {id: 2 * qty for id, qty in rows(stages).items()}
    sound(stages)


def test_records_that_are_nowhere_as_they_were_are_said_to_be(opened):
    stages = opened(shop(as_it_is))
    put(stages, 0, 100)
    flush(stages)
    maintain(stages)
    starts = stages.stream.start("sale")
    assert all(starts.values())
    stages = opened(shop(doubled))
    with pytest.raises(UsageError, match="left the stream") as refused:
        rebuild(stages, "sale")
    assert rebuilds(stages) == []
    assert refused.value.hint.endswith(f"--from 0:{starts[0]},1:{starts[1]}")
    rebuild(stages, "sale", Range(starts))
    swap_rebuilt(stages, "sale")
    sound(stages)
    history = stages.query.execute("SELECT * FROM sale_history").to_pylist()
    assert len(history) == 100
    for row in history:
        assert row["qty"] == int(row["id"][1:]) * (2 if row["_position"] >= starts[row["_shard"]] else 1)


def test_a_range_is_delivered_again_and_the_rest_keeps_its_rows(opened):
    stages = opened(shop(only_even))
    put(stages, 0, 40)
    stages.store.put("sale", {"id": "bad", "qty": "x"})
    flush(stages)
    before = {(r["_shard"], r["_position"]): r for r in stages.query.execute("SELECT * FROM sale_history").to_pylist()}
    stages = opened(shop(doubled))
    put(stages, 40, 50)
    rebuild(stages, "sale", Range({0: 3}, {0: 9}))
    after = {(r["_shard"], r["_position"]): r for r in stages.query.execute(f"SELECT * FROM {NAME}_history").to_pylist()}
    there = stages.catalog.snapshot("sale").positions
    for shard, offset in there.items():
        for place in ((shard, position) for position in range(offset)):
            if shard == 0 and 3 <= place[1] < 9:
                assert after[place]["qty"] == 2 * int(after[place]["id"][1:])
            else:
                assert after.get(place) == before.get(place)
    assert len([place for place in after if place[1] >= there[place[0]]]) == 10
    swap_rebuilt(stages, "sale")
    assert stages.catalog.totals("sale").quarantined == 1
    sound(stages)


@pytest.mark.parametrize("wanted,why", [(Range({7: 0}), "no shard 7"), (Range({0: 0}, {9: 1}), "no shard 9")])
def test_a_range_that_is_none_is_refused(opened, wanted, why):
    stages = opened(shop())
    put(stages, 0, 4)
    flush(stages)
    with pytest.raises(UsageError, match=why):
        rebuild(stages, "sale", wanted)


def test_a_range_needs_the_columns_that_the_rows_around_it_have(opened):
    stages = opened(shop())
    put(stages, 0, 4)
    flush(stages)
    wider = Pipeline("shop")

    @wider.table(key=["id"])
    class Sale:
        id: str
        qty: float
        buyer: str | None

    stages = opened(wider, rebuilding="sale")
    with pytest.raises(UsageError, match="columns are other ones"):
        rebuild(stages, "sale", Range({0: 1}))
    rebuild(stages, "sale")
    assert drop_rebuilt(stages, "sale") > 0


def test_a_rebuild_goes_on_only_with_what_it_began_with(opened):
    stages = opened(shop(as_it_is))
    put(stages, 0, 10)
    flush(stages)
    rebuild(stages, "sale", Range({0: 2}))
    rebuild(stages, "sale")
    rebuild(stages, "sale", Range({0: 2}))
    with pytest.raises(UsageError, match="range"):
        rebuild(stages, "sale", Range({0: 3}))
    stages = opened(shop(doubled))
    for work in (rebuild, swap_rebuilt):
        with pytest.raises(UsageError, match="transform"):
            work(stages, "sale")
    assert len(rebuilds(stages)) == 1
    drop_rebuilt(stages, "sale")
    rebuild(stages, "sale")
    assert rows(stages, NAME)["s4"] == 8


def test_a_shadow_that_is_given_up_leaves_nothing_behind(opened):
    stages = opened(shop(as_it_is))
    put(stages, 0, 10)
    stages.store.put("sale", {"id": "bad", "qty": "x"})
    flush(stages)
    for work in (drop_rebuilt, swap_rebuilt, compare_rebuilt):
        with pytest.raises(NotFound, match="not being rebuilt"):
            work(stages, "sale")
    with pytest.raises(NotFound, match="no table no"):
        rebuild(stages, "no")
    before = {info.path for folder in ("lake/", "quarantine/") for info in stages.files.list(folder)}
    rebuild(stages, "sale")
    assert drop_rebuilt(stages, "sale") > 0
    assert {info.path for folder in ("lake/", "quarantine/") for info in stages.files.list(folder)} == before
    sound(stages)


def test_a_stream_is_kept_for_a_rebuild_and_upkeep_leaves_its_objects_alone(opened):
    stages = opened(shop())
    put(stages, 0, 30)
    flush(stages)
    rebuild(stages, "sale")
    put(stages, 30, 60)
    flush(stages)
    maintain(stages)
    positions = stages.catalog.snapshot(NAME).positions
    assert all(end.oldest <= positions[shard] for shard, end in stages.stream.ends("sale").items())
    sound(stages)
    swap_rebuilt(stages, "sale")
    put(stages, 60, 70)
    flush(stages)
    assert maintain(stages).problems == []
    assert rows(stages) == {f"s{n}": n for n in range(70)}
    objects = {info.path for info in stages.files.list("lake/")}
    assert objects == {file.path for file in stages.catalog.named("sale") if file.path.startswith("lake/")}
    rebuild(stages, "sale")  # and again
    swap_rebuilt(stages, "sale")
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


def test_two_at_once_are_as_one(opened, config):
    stages = opened(shop(as_it_is))
    put(stages, 0, 200)
    flush(stages)
    done = []

    def run():
        with shop(as_it_is).open(config) as other:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                try:
                    done.append(rebuild(other, "sale", Range({0: 50, 1: 50})))
                    return
                except Unavailable:
                    time.sleep(0.02)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.records for one in done] == [200, 200]
    assert compare_rebuilt(stages, "sale").same
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


def test_the_first_position_of_a_time_is_found_in_the_stream(opened):
    stages = opened(shop())
    for n in range(8):
        put(stages, n, n + 1)
    times = {
        shard: stages.stream.read("sale", shard, 0).times.tolist() for shard in stages.stream.ends("sale")
    }
    for when in sorted(at for known in times.values() for at in known):
        assert positions_at(stages.stream, "sale", when) == {
            shard: sum(time < when for time in known) for shard, known in times.items()
        }
    flush(stages)
    put(stages, 8, 40)
    flush(stages)
    maintain(stages)
    with pytest.raises(UsageError, match="has left the stream"):
        positions_at(stages.stream, "sale", 1)


def test_no_table_may_be_called_like_a_shadow():
    with pytest.raises(ContractError, match="rebuilt"):
        Pipeline("shop").table(key=["id"], name=NAME)(type("Sale", (), {"__annotations__": {"id": str}}))
