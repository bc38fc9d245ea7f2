"""SQL shows what has arrived before it is in the lake, once, whole and in order, whatever the writer does meanwhile."""

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal import Pipeline
from caudal.config import Config, QueryConfig, StoreConfig, StreamConfig
from caudal.contract import Delivery
from caudal.ingest import tail
from caudal.ingest.store import Delete, Put

shop = Pipeline("shop")


@shop.table(key=["order_id"])
class Order:
    order_id: int
    lines: int


def none_of(row):
    return None if row["n"] < 0 else row


@shop.table(key=["order_id", "n"], deliveries=[
    Delivery("parquet"), Delivery("csv"), Delivery("parquet", name="chosen", transform=none_of),
])
class Line:
    order_id: int
    n: int
    note: str | None


def config(tmp_path, **query):
    url = f"sqlite:{tmp_path}/store.db"
    return Config(folder=str(tmp_path), store=StoreConfig(url), stream=StreamConfig(url, shards=2), query=QueryConfig(**query))


@pytest.fixture
def stages(tmp_path):
    with shop.open(config(tmp_path)) as stages:
        yield stages


def count(stages, table):
    return stages.query.execute(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py()


def flush(stages, *tables):
    for table in tables:
        writer = stages.writer(table)
        writer.flush()
        writer.close()


def put_order(stages, order, lines, note=None):
    stages.store.write([
        Put("order", {"order_id": order, "lines": lines}),
        *(Put("line", {"order_id": order, "n": n, "note": note}) for n in range(lines)),
    ])


def test_what_was_written_is_there_at_once_and_stays_once_it_is_delivered(stages):
    put_order(stages, 1, 3, "a,\"b\"\n")
    seen = stages.query.execute("SELECT * FROM line ORDER BY n")
    assert seen.to_pylist() == [{"order_id": 1, "n": n, "note": 'a,"b"\n'} for n in range(3)]
    for table in ("line", "line_csv"):
        history = stages.query.execute(f"SELECT * FROM {table}_history ORDER BY _shard, _position")
        flush(stages, table)
        assert stages.query.execute(f"SELECT * FROM {table}_history ORDER BY _shard, _position") == history
        assert stages.query.execute(f"SELECT * FROM {table} ORDER BY n") == seen


def test_a_function_of_the_users_runs_once_so_its_rows_are_there_once_delivered(stages):
    put_order(stages, 1, 3)
    assert (count(stages, "line"), count(stages, "chosen")) == (3, 0)
    flush(stages, "chosen")
    assert count(stages, "chosen") == 3


def test_a_setting_shows_only_what_is_in_the_lake(tmp_path):
    with shop.open(config(tmp_path, fresh=False)) as stages:
        put_order(stages, 1, 3)
        assert count(stages, "line") == 0
        flush(stages, "line")
        assert count(stages, "line") == 3


def test_a_table_at_a_version_has_nothing_that_came_later(stages):
    put_order(stages, 1, 3)
    flush(stages, "line")
    put_order(stages, 2, 4)
    assert count(stages, "line") == 7
    assert stages.query.execute("SELECT count(*) AS n FROM line", versions={"line": 1})["n"].to_pylist() == [3]


def test_records_that_do_not_fit_are_no_rows(stages):
    stages.store.write([Put("line", {"order_id": 1, "n": n, "note": 5 if n == 1 else "x"}) for n in range(3)])
    assert stages.query.execute("SELECT n FROM line ORDER BY n")["n"].to_pylist() == [0, 2]
    flush(stages, "line")
    assert stages.query.execute("SELECT n FROM line ORDER BY n")["n"].to_pylist() == [0, 2]


@pytest.mark.parametrize("table", ["line", "line_csv"])
@given(steps=st.lists(st.one_of(
    st.tuples(st.just("put"), st.integers(0, 3), st.integers(0, 2)), st.tuples(st.just("delete"), st.integers(0, 3), st.integers(0, 2)),
    st.just(("flush",)), st.just(("look",)),
), max_size=30))
@settings(max_examples=25)
def test_whatever_is_written_flushed_and_asked_the_answer_is_the_stores(table, steps, tmp_path_factory):
    with shop.open(config(tmp_path_factory.mktemp("shop"))) as stages:
        changes = 0
        for number, (what, *key) in enumerate([*steps, ("look",)]):
            if what == "put":
                stages.store.write([Put("line", {"order_id": key[0], "n": key[1], "note": str(number)})])
                changes += 1
            elif what == "delete":
                changes += stages.store.write([Delete("line", tuple(key))]) != [None]
            elif what == "flush":
                flush(stages, table)
            else:
                seen = stages.query.execute(f"SELECT * FROM {table} ORDER BY order_id, n").to_pylist()
                assert seen == sorted(stages.store.scan("line"), key=lambda item: (item["order_id"], item["n"]))
                assert count(stages, f"{table}_history") == changes


@pytest.mark.slow
def test_an_order_and_its_lines_are_visible_together_while_a_writer_delivers(stages):
    done, written = threading.Event(), itertools.count()

    def write():
        while not done.is_set():
            n = next(written)
            put_order(stages, n, n % 4)

    def deliver():
        while not done.is_set():
            flush(stages, "line", "order")

    threads = [threading.Thread(target=work) for work in (write, deliver)]
    for thread in threads:
        thread.start()
    sql = """SELECT count(*) AS orders, count_if(o.lines <> coalesce(l.n, 0)) AS halves FROM "order" o
             LEFT JOIN (SELECT order_id, count(*) AS n FROM line GROUP BY order_id) l ON o.order_id = l.order_id"""
    seen = []
    for _ in range(20):
        answer = stages.query.execute(sql).to_pylist()[0]
        assert answer["halves"] == 0
        assert stages.query.execute('SELECT count(*) AS n FROM line WHERE order_id NOT IN (SELECT order_id FROM "order")')["n"][0].as_py() == 0
        seen.append(answer["orders"])
    done.set()
    for thread in threads:
        thread.join()
    assert seen == sorted(seen) and len(set(seen)) > 2
    assert count(stages, '"order"') == next(written)


def test_what_the_stream_dropped_after_it_was_delivered_is_read_from_the_lake(stages):
    put_order(stages, 1, 50)
    stale = stages.catalog.snapshot("line")
    flush(stages, "line")
    put_order(stages, 2, 1)
    stages.stream.trim("line", stages.stream.now("line"))
    fresh, answers = stages.catalog.snapshot, [stale, None, None]
    stages.catalog.snapshot = lambda *args: answers.pop(0) or fresh(*args)
    assert count(stages, "line") == 51
    assert answers == [None]


def test_a_backlog_is_shown_up_to_what_memory_is_meant_for(stages, monkeypatch):
    monkeypatch.setattr(tail, "LIMIT_BYTES", 2000)
    for n in range(100):
        put_order(stages, n, 1)
    shown = count(stages, "line_history")
    assert 10 < shown < 60
    flush(stages, "line")
    assert count(stages, "line_history") == 100


@pytest.mark.slow
def test_many_small_arrivals_are_kept_as_few_runs(stages):
    for n in range(200):
        put_order(stages, n, 1)
        count(stages, "line")
    runs = [len(runs) for runs in stages.query._tail._tables["line"]._runs.values()]
    assert len(runs) == 2 and max(runs) <= 8
