"""The current state of a table that another system feeds: whatever the order of arrival, and however often it comes."""

import json
import random
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caudal.config import QueryConfig
from caudal.contract import read_contract
from caudal.ingest.transform import open_transform
from caudal.lake.catalog import open_catalog
from caudal.lake.files import open_files
from caudal.lake.query.duckdb import DuckdbQuery
from caudal.records import Records
from caudal.testing.query_lake import Lake


class Order:
    order_id: str
    qty: int | None
    st: str | None


ORDERS = read_contract(Order, name="orders", key=["order_id"], form="dynamodb")


def typed(image):
    return {name: {"N" if isinstance(value, int) else "S": str(value)} for name, value in image.items()}


def change(id, time, before, after, key="o1"):
    """A change of one item, as Kinesis delivers it."""
    images = {name: typed({"order_id": key, **image}) for name, image in (("OldImage", before), ("NewImage", after)) if image is not None}
    return {
        "eventID": id, "eventName": "INSERT" if before is None else "REMOVE" if after is None else "MODIFY", "userIdentity": None,
        "dynamodb": {"ApproximateCreationDateTime": time, "Keys": typed({"order_id": key}), **images}, "eventSource": "aws:dynamodb",
    }


class Fed:
    """A lake that batches of records were delivered to."""

    def __init__(self, batches, contract=ORDERS, format="parquet"):
        self.lake = Lake(open_catalog("memory:", "shop"), open_files("memory:"))
        table = self.lake.declare(contract, format)
        transform, first = open_transform("inprocess:", contract, contract, None), 0
        for batch in batches:
            lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in batch]
            done = transform.apply(Records.of(0, first, lines))
            assert not done.rejected
            assert done.rows.schema == contract.row_schema
            self.lake.add(table, done.rows.to_pylist())
            first += len(lines)
        self.query = DuckdbQuery(self.lake.catalog, self.lake.files, QueryConfig(memory_mb=256, threads=1))

    def __call__(self, sql):
        return self.query.execute(sql).to_pylist()

    def ids(self, order="_position"):
        return [row["_event_id"] for row in self(f"SELECT _event_id FROM orders_history ORDER BY {order}")]


def test_d16_the_last_event_time_wins_and_not_the_last_arrival():
    late = [change("ev-2000", 2000, {"qty": 1}, {"qty": 5}), change("ev-1000", 1000, None, {"qty": 1})]
    for batches in ([late], [[record] for record in late]):
        fed = Fed(batches)
        assert fed("SELECT order_id, qty FROM orders") == [{"order_id": "o1", "qty": 5}]
        assert fed("SELECT count(*) AS n FROM orders_history") == [{"n": 2}]


def test_d18_the_chain_of_images_orders_what_the_time_does_not():
    fed = Fed([[change("e2", 2000, {"qty": 2}, {"qty": 3}), change("e1", 2000, {"qty": 1}, {"qty": 2})]])
    assert fed("SELECT qty FROM orders") == [{"qty": 3}]
    assert fed("""SELECT b._event_id AS earlier, a._event_id AS later
                  FROM orders_history a JOIN orders_history b ON a._before = b._after""") == [{"earlier": "e1", "later": "e2"}]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_d19_equal_changes_with_ids_of_their_own_all_count(format):
    states = [("e1", "A", "B"), ("e2", "B", "A"), ("e3", "A", "B")]
    for order in (states, states[::-1], [states[1], states[0], states[2]]):
        fed = Fed([[change(id, 2000, {"st": old}, {"st": new}) for id, old, new in order]], format=format)
        assert fed("SELECT st FROM orders") == [{"st": "B"}]
        assert fed("SELECT count(*) AS n FROM orders_history") == [{"n": 3}]


def test_d21_an_insert_follows_the_removal_of_the_same_time():
    fed = Fed([[change("e2", 3000, None, {"qty": 9}), change("e1", 3000, {"qty": 5}, None)]])
    assert fed("SELECT order_id, qty FROM orders") == [{"order_id": "o1", "qty": 9}]


def test_d22_without_a_sequence_number_time_and_position_decide():
    fed = Fed([[change("e1", 1000, None, {"qty": 1}), change("e2", 1000, {"qty": 7}, {"qty": 2})]])
    assert fed("SELECT qty FROM orders") == [{"qty": 2}]
    assert fed("SELECT DISTINCT _sequence FROM orders_history") == [{"_sequence": None}]


def test_f08_an_event_that_was_delivered_twice_counts_once():
    once = change("ev-1", 1767225661573, None, {"qty": 5})
    for batches in ([[once, once]], [[once], [once]]):
        fed = Fed(batches)
        assert fed("SELECT count(*) AS n, sum(qty) AS qty FROM orders_history") == [{"n": 1, "qty": 5}]
        assert fed("SELECT count(*) AS n, sum(qty) AS qty FROM orders") == [{"n": 1, "qty": 5}]


def test_a_late_update_revives_nothing():
    fed = Fed([[change("e3", 3000, {"qty": 2}, None)], [change("e2", 2000, {"qty": 1}, {"qty": 2})], [change("e1", 1000, None, {"qty": 1})]])
    assert fed("SELECT * FROM orders") == []
    assert fed.ids() == ["e3", "e2", "e1"]


def test_of_changes_in_a_circle_the_earlier_ones_tell_the_end():
    there, back = change("e2", 2000, {"st": "A"}, {"st": "B"}), change("e3", 2000, {"st": "B"}, {"st": "A"})
    fed = Fed([[back, there, change("e1", 1000, None, {"st": "A"})]])
    assert fed("SELECT st FROM orders") == [{"st": "A"}]


def test_where_the_images_tell_nothing_the_sequence_does():
    changes = [change("e1", 2000, {"st": "A"}, {"st": "B"}), change("e2", 2000, {"st": "B"}, {"st": "A"})]
    for numbers, expected in ((("99", "100"), "A"), (("100", "99"), "B")):
        for record, number in zip(changes, numbers, strict=True):
            record["dynamodb"]["SequenceNumber"] = number
        for order in (changes, changes[::-1]):
            assert Fed([order])("SELECT st FROM orders") == [{"st": expected}]


def test_a_change_without_an_old_image_is_ordered_by_time_and_position():
    blind = [change(f"e{n}", 2000, {"qty": n}, {"qty": n + 1}) for n in range(3)]
    for record in blind:
        del record["dynamodb"]["OldImage"]
    fed = Fed([blind])
    assert fed("SELECT qty FROM orders") == [{"qty": 3}]
    assert fed("SELECT DISTINCT _before FROM orders_history") == [{"_before": None}]


def test_a_record_that_only_we_read_as_json_costs_its_neighbours_nothing():
    strange = json.dumps(change("e9", 1000, {"qty": 8}, {"qty": 9}, "o9")).replace('"userIdentity": null', r'"userIdentity": "\ud800"').encode()
    fed = Fed([[strange, change("e2", 2000, {"qty": 2}, {"qty": 3}), change("e1", 2000, {"qty": 1}, {"qty": 2})]])
    assert fed("SELECT qty FROM orders ORDER BY qty") == [{"qty": 3}, {"qty": 9}]
    assert fed("SELECT _before, _after FROM orders_history WHERE order_id = 'o9'") == [{"_before": None, "_after": None}]


def test_maps_and_sets_in_another_order_are_the_same_image():
    class Bag:
        order_id: str
        tags: list[str]

    def image(*tags, **sizes):
        return {"order_id": {"S": "o1"}, "tags": {"L": [{"SS": list(tags)}, {"M": {k: {"N": v} for k, v in sizes.items()}}]}}

    record = {"eventName": "MODIFY", "dynamodb": {"ApproximateCreationDateTime": 5}}
    first = {**record, "eventID": "e1", "dynamodb": {**record["dynamodb"], "OldImage": image("x"), "NewImage": image("a", "b", s="1", m="2")}}
    then = {**record, "eventID": "e2", "dynamodb": {**record["dynamodb"], "OldImage": image("b", "a", m="2", s="1"), "NewImage": image("z")}}
    fed = Fed([[then, first]], read_contract(Bag, name="orders", key=["order_id"], form="dynamodb"))
    assert json.loads(fed("SELECT tags FROM orders")[0]["tags"]) == [["z"], {}]


def test_a_function_that_makes_several_rows_of_a_change_keeps_them_all():
    from caudal.contract import UserFunction

    class Part:
        part: int

    into = read_contract(Part, name="orders", form="dynamodb")
    transform = open_transform("inprocess:", ORDERS, into, UserFunction(lambda item: [{"part": 1}, {"part": 2}]))
    line = json.dumps(change("e1", 1000, None, {"qty": 1})).encode()
    done = transform.apply(Records.of(0, 0, [line, line]))
    assert len(done.rows) == 4
    lake = Lake(open_catalog("memory:", "shop"), open_files("memory:"))
    lake.add(lake.declare(into), done.rows.to_pylist())
    query = DuckdbQuery(lake.catalog, lake.files, QueryConfig(memory_mb=256, threads=1))
    assert query.execute("SELECT sum(part) AS n, count(*) AS rows FROM orders").to_pylist() == [{"n": 3, "rows": 2}]


STATES = [None, {"st": "A"}, {"st": "B"}, {"st": "A", "qty": 0}]


@pytest.mark.slow
@given(
    steps=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(STATES), st.integers(0, 1)), max_size=14),
    seed=st.integers(0, 2**16), format=st.sampled_from(["parquet", "csv"]),
)
@settings(max_examples=min(60, settings.default.max_examples), deadline=None, suppress_health_check=[*HealthCheck])
def test_any_order_of_arrival_and_any_repeats_show_the_same(steps, seed, format):
    """Of keys whose changes are all there, however many of them fall on one time."""
    now, changes, time = {}, [], 1000
    for number, (key, state, pause) in enumerate(steps):
        if state is None and now.get(key) is None:
            continue
        time += pause
        changes.append(change(f"e{number}", time, now.get(key), state, f"o{key}"))
        now[key] = state
    arrived = changes + [record for n, record in enumerate(changes) if seed >> n & 1]
    random.Random(seed).shuffle(arrived)
    cut = len(arrived) // 2
    fed = Fed([arrived[:cut], arrived[cut:]], format=format)
    shown = {row["order_id"]: row for row in fed("SELECT * FROM orders")}
    for key in now:
        expected = now[key] and {"order_id": f"o{key}", "qty": None, "st": None, **now[key]}
        assert shown.get(f"o{key}") == expected
    assert sorted(fed.ids()) == sorted(record["eventID"] for record in changes)


def test_a_table_that_caudal_feeds_is_read_as_before():
    from caudal.lake.query.views import current, history

    own = read_contract(Order, name="orders", key=["order_id"])
    assert history(own, "SELECT 1") == "SELECT 1"
    assert "_event_time" not in current(own, "SELECT 1", True)


def test_debezium_orders_by_the_place_in_the_sources_log():
    def update(lsn, qty, op="u", **more):
        image = {"order_id": "o1", "qty": qty, "st": None}
        return json.dumps({"before": image if op == "d" else None, "after": None if op == "d" else image, "op": op,
                           "source": {"lsn": lsn, "ts_ms": 1767225661573, **more}, "ts_ms": 1}).encode()

    contract = read_contract(Order, name="orders", key=["order_id"], form="debezium")
    fed = Fed([[update(1000, 3), update(999, 2)], [update(1000, 3), update(98, 1, "r")]], contract)
    assert fed("SELECT qty FROM orders") == [{"qty": 3}]
    assert fed("SELECT count(*) AS n FROM orders_history") == [{"n": 3}]
    gone = Fed([[update(1001, 3, "d"), update(1000, 3)]], contract)
    assert gone("SELECT * FROM orders") == []


def test_the_columns_of_a_table_in_dynamodbs_form_are_kept_by_the_catalog():
    fed = Fed([[change("e1", 1000, None, {"qty": 1})]])
    assert fed.lake.catalog.tables()["orders"].contract == ORDERS
    (row,) = fed("SELECT * FROM orders_history")
    assert row["_event_time"] == datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)
    assert row["_before"] == 0 and row["_after"] > 0
