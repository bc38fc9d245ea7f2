"""A base changes how a current state is found and never what it is, whatever happened before and after it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from caudal.config import QueryConfig
from caudal.contract import Column, Contract
from caudal.lake.catalog import DELETED, Replay, open_catalog
from caudal.lake.compaction import compact
from caudal.lake.current import is_due, make_base
from caudal.lake.files import open_files
from caudal.lake.query import superseded
from caudal.lake.query.duckdb import DuckdbQuery
from caudal.testing.query_lake import ORDER, Lake

KEYED_TWICE = Contract("shop_order", (
    Column("shop", "int"), Column("id", "string"), Column("quantity", "int"), Column("exact", "decimal", True, 38, 9),
), key=("shop", "id"))

STEPS = st.lists(st.one_of(
    st.lists(st.tuples(st.sampled_from(["put", "put", "delete"]), st.sampled_from(["a", "b", "c", ""])), max_size=5),
    st.sampled_from(["base", "compact", "late"]),
), max_size=12)
PAST = st.lists(st.tuples(st.sampled_from(["put", "delete"]), st.sampled_from(["a", "b", "new"])), max_size=4)


class Waiting:
    """A tail of rows that are given."""

    def __init__(self):
        self.table = None

    def rows(self, snapshots):
        return {} if self.table is None else dict.fromkeys(snapshots, self.table)


def open_lake(tail=None):
    lake = Lake(open_catalog("memory:", "shop"), open_files("memory:"))
    return lake, DuckdbQuery(lake.catalog, lake.files, QueryConfig(memory_mb=256, threads=1), tail)


@pytest.mark.slow
@given(steps=STEPS, past=PAST, format=st.sampled_from(["parquet", "csv"]), contract=st.sampled_from([ORDER, KEYED_TWICE]),
       few=st.sampled_from([0, superseded._FEW]), hashed=st.booleans())
@example(steps=[[("put", "a")], "base", "late"], past=[("put", "b"), ("put", "new")], format="csv", contract=ORDER, few=9, hashed=True)
@settings(max_examples=min(100, settings.default.max_examples), deadline=None, suppress_health_check=[*HealthCheck])
def test_the_state_is_that_of_the_whole_history(steps, past, format, contract, few, hashed):
    """With changes held in memory and not, and also if all keys had one hash; now, past the snapshot, and at each version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(superseded, "_FEW", few)
        if not hashed:
            patch.setattr(superseded, "_hash", lambda key: "0::UBIGINT")
        _check_every_state(steps, past, format, contract)


def _check_every_state(steps, past, format, contract):
    tail = Waiting()
    lake, query = open_lake(tail)
    table, model, states, n, late = lake.declare(contract, format), {}, {}, 0, 0
    for step in steps:
        if step == "base":
            make_base(lake.catalog, lake.files, query, "shop", lake.catalog.snapshot("shop_order"))
        elif step == "compact":
            compact(lake.catalog, lake.files, table, 1 << 20)
        elif step == "late" and n:  # a replayed record: older than what is known of its key
            late += 1
            lake.replay(table, Replay(9, late, "delivered"), {
                "id": "a", "quantity": -1, "_position": -late, **({"shop": 1} if contract is KEYED_TWICE else {})
            })
            model.setdefault("a", (-1, -late))
        elif step not in ("base", "late"):
            lake.add(table, _rows(step, n, model))
            n += len(step)
        states[lake.catalog.snapshot("shop_order").version] = wanted = _wanted(model)
        assert _found(query) == wanted
        assert query.execute("SELECT count(*) AS n FROM shop_order").to_pylist() == [{"n": len(wanted)}]
    for version, wanted in states.items():
        assert _found(query, versions={"shop_order": version}) == wanted
    waiting = []
    for change in past if n else ():
        waiting += [{"_event_time": datetime(2026, 1, 1, tzinfo=UTC), "_event_id": "x", "_shard": 0, **row}
                    for row in _rows([change], n + len(waiting), model)]
        tail.table = pa.Table.from_pylist(waiting, contract.row_schema)
        assert _found(query) == _found(query) == _wanted(model)
    tail.table = None
    assert _found(query) == states.get(lake.catalog.snapshot("shop_order").version, [])
    query.close()


def _rows(step, first, model):
    rows = [{"id": key, "quantity": n, "_op": op, "_position": n, "shop": 1} for n, (op, key) in enumerate(step, first)]
    model.update({row["id"]: (None if row["_op"] == "delete" else row["quantity"], row["_position"]) for row in rows})
    return rows


def _wanted(model):
    return sorted((key, value) for key, (value, _) in model.items() if value is not None)


def _found(query, **how):
    found = query.execute("SELECT id, quantity FROM shop_order ORDER BY id", **how).to_pylist()
    return [(row["id"], row["quantity"]) for row in found]


def test_late_changes_and_rows_past_the_snapshot_change_the_state_as_without_a_base():
    steps = [[("put", "a"), ("put", "b"), ("put", "c")], "base", "late", [("delete", "b")], "compact", [("put", "new")]]
    for format in ("parquet", "csv"):
        _check_every_state(steps, [("put", "b"), ("delete", "c"), ("put", "new")], format, ORDER)


def test_a_base_is_due_when_there_is_much_history_or_many_changes():
    lake, query = open_lake()
    table = lake.declare(ORDER)
    assert not is_due(lake.catalog.snapshot("shop_order"), least_rows=1)
    lake.add(table, [{"id": f"o{n}", "quantity": n} for n in range(20)])
    assert not is_due(lake.catalog.snapshot("shop_order"))
    assert is_due(lake.catalog.snapshot("shop_order"), least_rows=20)
    assert make_base(lake.catalog, lake.files, query, "shop", lake.catalog.snapshot("shop_order")) == 20
    for n, due in ((0, False), (1, False), (2, True)):
        lake.add(table, [{"id": f"o{n}", "quantity": 0}])
        assert is_due(lake.catalog.snapshot("shop_order")) is due
    query.close()


def test_rows_of_a_base_are_exact_sorted_and_apart_from_deleted_keys():
    lake, query = open_lake()
    table = lake.declare(KEYED_TWICE)
    big = "12345678901234567890123456789.123456789"
    lake.add(table, [
        {"shop": shop, "id": id, "quantity": 2**62, "exact": Decimal(big)} for shop, id in ((2, "b"), (1, "z"), (2, "a"))
    ])
    lake.add(table, [{"shop": 2, "id": "a", "quantity": 1, "exact": Decimal(1), "_op": "delete", "_reason": "ttl"}])
    snapshot = lake.catalog.snapshot("shop_order")
    assert make_base(lake.catalog, lake.files, query, "shop", snapshot) == 3
    assert make_base(lake.catalog, lake.files, query, "shop", snapshot) == 0  # another was as fast
    base = lake.catalog.snapshot("shop_order").base
    assert [(file.rows, file.partition) for file in base.files] == [(2, ()), (1, DELETED)]
    assert len(list(lake.files.list("current/shop/shop_order/"))) == 2
    found = query.execute("SELECT shop, id, quantity, cast(exact AS varchar) AS exact FROM shop_order").to_pylist()
    assert found == [
        {"shop": 1, "id": "z", "quantity": 2**62, "exact": big}, {"shop": 2, "id": "b", "quantity": 2**62, "exact": big},
    ]
    query.close()


def test_a_column_that_is_newer_than_the_base_is_null_in_it():
    lake, query = open_lake()
    table = lake.declare(ORDER)
    lake.add(table, [{"id": "a", "quantity": 1}])
    make_base(lake.catalog, lake.files, query, "shop", lake.catalog.snapshot("shop_order"))
    coupon = Column("coupon", "string", nullable=True)
    table = lake.declare(replace(ORDER, columns=(*ORDER.columns, coupon)))
    lake.add(table, [{"id": "b", "quantity": 1, "coupon": "X"}])
    assert query.execute("SELECT id, coupon FROM shop_order ORDER BY id").to_pylist() == [
        {"id": "a", "coupon": None}, {"id": "b", "coupon": "X"},
    ]
    query.close()


def test_a_base_made_while_a_column_is_hidden_keeps_its_values():
    lake, query = open_lake()
    table = lake.declare(ORDER)
    id, quantity, note = ORDER.columns
    lake.add(table, [{"id": "a", "quantity": 1, "note": "first"}, {"id": "b", "quantity": 2, "note": "second"}])
    hiding = replace(table, contract=replace(ORDER, columns=(id, quantity)))
    lake.catalog.evolve(hiding, drop=["note"])
    make_base(lake.catalog, lake.files, query, "shop", lake.catalog.snapshot("shop_order"))
    lake.add(hiding, [{"id": "b", "quantity": 3}])
    renaming = replace(table, contract=replace(ORDER, columns=(id, replace(quantity, name="pieces", old_names=("quantity",)))))
    lake.catalog.evolve(renaming)
    make_base(lake.catalog, lake.files, query, "shop", lake.catalog.snapshot("shop_order"))  # of the base before
    lake.catalog.evolve(replace(renaming, contract=replace(renaming.contract, columns=(*renaming.contract.columns, note))))
    lake.add(replace(renaming, contract=replace(renaming.contract, columns=(*renaming.contract.columns, note))),
             [{"id": "c", "pieces": 4, "note": "third"}])
    assert query.execute("SELECT * FROM shop_order ORDER BY id").to_pylist() == [
        {"id": "a", "pieces": 1, "note": "first"}, {"id": "b", "pieces": 3, "note": None}, {"id": "c", "pieces": 4, "note": "third"},
    ]
    query.close()
