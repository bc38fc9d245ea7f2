"""What was made anew takes the place of what is shown: nothing is lost meanwhile, and nobody else delivers to it."""

import threading
import time

import pytest
from rebuild_shop import NAME, as_it_is, doubled, flush, put, rows, shop, sound

from caudal.errors import ContractError, Fenced, NotFound, QueryError, Unavailable
from caudal.maintain import maintain
from caudal.pipeline import Pipeline
from caudal.rebuild import Range, compare_rebuilt, drop_rebuilt, rebuild, rebuilds, swap_rebuilt

pytestmark = pytest.mark.slow


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
    merged = {path for path in objects if "/part-000000-" in path}
    assert {path.rpartition("/")[0] for path in merged} == {"lake/shop/sale"}  # out of the shadow's folder
    assert objects == {file.path for file in stages.catalog.named("sale") if file.path.startswith("lake/")}
    rebuild(stages, "sale")  # and again
    swap_rebuilt(stages, "sale")
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


def test_no_table_may_be_called_like_a_shadow():
    with pytest.raises(ContractError, match="rebuilt"):
        Pipeline("shop").table(key=["id"], name=NAME)(type("Sale", (), {"__annotations__": {"id": str}}))
