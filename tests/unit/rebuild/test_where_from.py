"""What is read for a table that is made anew: a range, the stream, or a table that has the records as they were."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import pytest
from rebuild_shop import NAME, as_it_is, doubled, flush, only_even, put, rows, shop, sound

from caudal.contract import Delivery, Digits
from caudal.errors import UsageError
from caudal.maintain import maintain
from caudal.pipeline import Pipeline
from caudal.rebuild import Range, compare_rebuilt, drop_rebuilt, positions_at, rebuild, rebuilds, swap_rebuilt

pytestmark = pytest.mark.slow


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
