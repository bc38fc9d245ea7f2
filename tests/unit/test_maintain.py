"""Maintenance as a whole: what it does, what it leaves alone, and that it may run beside everything."""

import os
import threading
import time
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import pytest

from caudal import parts
from caudal.config import Config, MaintainConfig, StreamConfig
from caudal.contract import Delivery, ttl
from caudal.errors import ConditionFailed, Conflict
from caudal.ingest.store import KEPT, Put
from caudal.ingest.writer.layout import data_folder
from caudal.lake import current
from caudal.lake.objects import new_name
from caudal.maintain import maintain
from caudal.pipeline import Pipeline
from caudal.proof import prove
from caudal.supervisor import read_errors
from caudal.tables import Writers
from caudal.testing.faults import Faulty

DAY = 86_400.0


@pytest.fixture
def stages(tmp_path):
    pipeline = Pipeline("shop")

    @pipeline.table(key=["cart_id"], deliveries=[Delivery(buffer_seconds=0), Delivery("csv", compression="gzip", buffer_seconds=0)])
    class Cart:
        cart_id: str
        items: int
        expires: Annotated[datetime | None, ttl]

    config = Config(folder=str(tmp_path), maintain=MaintainConfig(keep_hours=24, keep_versions=2), stream=StreamConfig(retention_hours=48))
    with pipeline.open(config) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_bases(monkeypatch):
    monkeypatch.setattr(current, "LEAST_ROWS", 5)
    monkeypatch.setattr(current.is_due, "__defaults__", (current.SHARE, 5))


def fill(stages, commits, start=0):
    writers = [stages.writer(name) for name in ("cart", "cart_csv")]
    for n in range(start, start + commits):
        stages.store.put("cart", {"cart_id": f"c{n % 7}", "items": n, "expires": None})
        for writer in writers:
            writer.flush()
    for writer in writers:
        writer.close()


def state(stages, name="cart"):
    return stages.query.execute(f"SELECT * FROM {name} ORDER BY cart_id").to_pylist()


def by_table(done):
    return {found.table: found for found in done.tables}


def test_small_files_are_merged_and_bases_made_and_nothing_changes(stages):
    fill(stages, 10)
    before = {name: state(stages, name) for name in ("cart", "cart_csv")}
    done = maintain(stages)
    assert done.problems == []
    for name, found in by_table(done).items():
        assert (found.merged, found.into, found.base_keys, found.versions_expired) == (10, 1, 7, 0)
        assert len(stages.catalog.snapshot(name).files) == 1
        assert state(stages, name) == before[name]
    assert prove(stages.catalog, stages.files, stages.stream).problems == []
    again = maintain(stages)
    assert {(t.merged, t.base_keys, t.objects_removed) for t in again.tables} == {(0, 0, 0)}


def test_old_versions_go_after_their_time_and_the_newest_stay(stages):
    fill(stages, 5)
    maintain(stages)
    before = state(stages)
    done = by_table(maintain(stages, now=time.time() + DAY + 60))["cart"]
    assert (done.versions_expired, done.objects_removed) == (4, 0)  # version 5 still names them
    assert stages.catalog.versions("cart")[:2] == (5, 6)
    assert state(stages) == before
    assert stages.query.execute("SELECT count(*) AS n FROM cart FOR VERSION AS OF 5").to_pylist() == [{"n": 5}]
    fill(stages, 1, 5)
    done = by_table(maintain(stages, now=time.time() + DAY + 60))["cart"]
    assert (done.versions_expired, done.objects_removed, done.bytes_freed > 0) == (2, 6, True)  # five files and a base
    assert prove(stages.catalog, stages.files, stages.stream).problems == []


def test_a_dry_run_says_what_would_be_done_and_does_nothing(stages):
    fill(stages, 6)
    stages.store.put("cart", {"cart_id": "old", "items": 1, "expires": datetime(2026, 1, 1, tzinfo=UTC)})
    stages.files.put(f"{data_folder('shop', 'cart', ())}/{new_name(1, '.parquet')}", b"left behind")
    later = time.time() + 3 * DAY
    objects, versions = list(stages.files.list()), stages.catalog.versions("cart")
    told = maintain(stages, pretend=True, now=later)
    found = by_table(told)["cart"]
    assert (found.merged, found.base_keys, found.versions_expired, found.orphans) == (6, 6, 4, 1)
    assert told.sources[0].items_expired == 1
    assert (list(stages.files.list()), stages.catalog.versions("cart")) == (objects, versions)
    assert stages.store.count_expired("cart", time.time()) == 1


def test_expired_items_are_deleted_as_changes(stages):
    stages.store.put("cart", {"cart_id": "old", "items": 1, "expires": datetime(2026, 1, 1, tzinfo=UTC)})
    stages.store.put("cart", {"cart_id": "new", "items": 2, "expires": datetime(2200, 1, 1, tzinfo=UTC)})
    assert maintain(stages).sources[0].items_expired == 1
    fill(stages, 0)
    writer = stages.writer("cart")
    writer.flush()
    writer.close()
    assert [row["cart_id"] for row in state(stages)] == ["new"]
    found = stages.query.execute("SELECT cart_id, _op, _reason FROM cart_history WHERE _op = 'delete'").to_pylist()
    assert found == [{"cart_id": "old", "_op": "delete", "_reason": "ttl"}]


def orphan(stages, epoch=1, age_hours=0.0):
    path = f"{data_folder('shop', 'cart', ())}/{new_name(epoch, '.parquet')}"
    stages.files.put(path, b"left behind")
    long_ago = time.time() - 3600 * age_hours
    os.utime(stages.files.location(path), (long_ago, long_ago))
    return path


def test_only_old_objects_that_no_version_names_are_removed(stages):
    fill(stages, 3)
    stages.files.put(f"{data_folder('shop', 'cart', ())}/notes.txt", b"somebody's own")
    os.utime(stages.files.location(f"{data_folder('shop', 'cart', ())}/notes.txt"), (0, 0))
    for info in stages.files.list("lake/"):
        os.utime(stages.files.location(info.path), (0, 0))
    old, young = orphan(stages, age_hours=25), orphan(stages, age_hours=23)
    before = {info.path for info in stages.files.list()}
    done = by_table(maintain(stages, by_hand=False))
    assert (done["cart"].orphans, done["cart_csv"].orphans) == (1, 0)
    made = {file.path for name in done for file in stages.catalog.named(name)}
    assert before - {info.path for info in stages.files.list()} == {old}
    assert young in before and made <= {info.path for info in stages.files.list()}
    assert prove(stages.catalog, stages.files, stages.stream).problems == []


def test_a_writer_that_slept_past_the_grace_period_writes_its_file_again(stages):
    """Its object is gone: the commit is refused, and nothing is lost."""
    fill(stages, 1)
    stages.store.put("cart", {"cart_id": "late", "items": 1})

    def sleep_for_a_day():
        for info in stages.files.list("lake/shop/cart/"):
            os.utime(stages.files.location(info.path), (0, 0))
        assert by_table(maintain(stages, by_hand=False))["cart"].orphans == 1

    slow = Faulty(stages.catalog)
    slow.on("commit", "before", sleep_for_a_day)
    writer = Writers(stages.config, "shop", stages.pipeline.tables, stages.stream, stages.files, slow)["cart"]
    with pytest.raises(Conflict, match="removed"):
        writer.flush()
    assert writer.flush() == 1
    writer.close()
    assert "late" in {row["cart_id"] for row in state(stages)}
    writer = stages.writer("cart_csv")
    writer.flush()
    writer.close()
    assert prove(stages.catalog, stages.files, stages.stream).problems == []


def test_the_stream_is_trimmed_once_every_delivery_has_it_and_it_is_old(stages):
    fill(stages, 5)
    assert maintain(stages).sources[0].records_trimmed == 0
    stages.store.put("cart", {"cart_id": "x", "items": 1})
    writer = stages.writer("cart")
    writer.flush()
    writer.close()  # and cart_csv does not have it
    maintain(stages, now=time.time() + 3 * DAY)
    writer = stages.writer("cart_csv")
    assert writer.flush() == 1
    writer.close()
    assert sum(end.oldest for end in stages.stream.ends("cart").values()) > 0
    assert prove(stages.catalog, stages.files, stages.stream).problems == []


def test_a_table_that_fails_does_not_stop_the_others(stages):
    fill(stages, 3)
    file = stages.catalog.snapshot("cart").files[0]
    stages.files.delete(file.path)
    done = maintain(stages)
    assert len(done.problems) == 1 and done.problems[0].startswith("cart: ")
    assert by_table(done)["cart_csv"].into == 1


def test_queries_and_writers_go_on_beside_it(stages):
    fill(stages, 3)
    stop, wrong, asked = threading.Event(), [], [0]

    def ask():
        while not stop.is_set():
            rows = state(stages)
            asked[0] += 1
            if len({row["cart_id"] for row in rows}) != len(rows) or len(rows) < 3:
                wrong.append(rows)

    threads = [threading.Thread(target=ask), threading.Thread(target=lambda: [maintain(stages) for _ in range(8)])]
    for thread in threads:
        thread.start()
    fill(stages, 30, 3)
    threads[1].join()
    stop.set()
    threads[0].join()
    assert (wrong, asked[0] > 0) == ([], True)
    assert {row["cart_id"]: row["items"] for row in state(stages)} == {f"c{n % 7}": n for n in range(26, 33)}
    assert prove(stages.catalog, stages.files, stages.stream).problems == []


def test_the_part_of_up_does_it_by_itself_and_tells_of_what_it_could_not(stages, monkeypatch):
    fill(stages, 9)
    stages.config = msgspec.structs.replace(stages.config, maintain=MaintainConfig(every_seconds=0.05))
    monkeypatch.setattr(parts, "ORPHAN_SECONDS", 0.0)
    stop = threading.Event()
    thread = threading.Thread(target=parts.run_maintainer, args=(stages, stop))
    thread.start()
    wait_for(lambda: all(len(stages.catalog.snapshot(name).files) == 1 for name in ("cart", "cart_csv")))
    assert stages.catalog.snapshot("cart").base is not None
    assert read_errors(stages.config) == {}
    stages.files.delete(stages.catalog.snapshot("cart").files[0].path)
    fill(stages, 9, 9)
    wait_for(lambda: "maintainer" in read_errors(stages.config))
    stop.set()
    thread.join()


def wait_for(what):
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def learning(tmp_path):
    pipeline = Pipeline("shop")

    @pipeline.events(deliveries=[Delivery(buffer_seconds=0)])
    class Click:
        user_id: str
        item_id: str
        clicked_at: datetime

    pipeline.recommender("clicked", interactions="SELECT user_id AS user, item_id AS item, clicked_at AS time FROM click",
                         model="popular")
    config = Config(folder=str(tmp_path), maintain=MaintainConfig(keep_hours=1, keep_versions=1, keep_model_hours=240))
    with pipeline.open(config) as opened:
        yield opened


def click_and_train(stages, train=True):
    """One more version, and a model of it that is live."""
    stages.events("click").append([{"user_id": "u", "item_id": "i", "clicked_at": "2026-01-01T00:00:00Z"}])
    stages.writer("click").flush()
    stages.writer("click").close()
    if train:
        stages.models.promote("clicked", stages.trainer.train(stages.pipeline.recommenders["clicked"], seed=0).version)


def kept_after(stages, days):
    assert maintain(stages, now=time.time() + days * DAY).problems == []
    return stages.catalog.versions("click").oldest


def test_what_the_live_model_and_the_one_before_it_were_trained_on_is_kept(learning):
    for train in (False, True, True, True, False, False):
        click_and_train(learning, train)
    assert [card.version for card in learning.models.in_use("clicked")] == [2, 3]
    oldest = kept_after(learning, 2)
    trained_on = [card.snapshot["click"] for card in learning.models.in_use("clicked")]
    assert oldest in (trained_on[0] - 1, trained_on[0]) and trained_on[0] > 2
    for version in trained_on:
        assert learning.query.execute("SELECT count(*) AS n FROM click", versions={"click": version})["n"].to_pylist() == [version]
    learning.models.rollback("clicked")
    assert kept_after(learning, 2) == oldest


def test_a_model_that_lives_for_long_does_not_keep_all_versions_for_ever(learning):
    for train in (True, False, False):
        click_and_train(learning, train)
    newest = learning.catalog.versions("click").newest
    assert kept_after(learning, 9) <= learning.models.in_use("clicked")[0].snapshot["click"]
    assert kept_after(learning, 11) == learning.catalog.versions("click").newest >= newest


def test_without_a_model_nothing_is_kept_for_one(learning):
    for _ in range(3):
        click_and_train(learning, False)
    assert kept_after(learning, 2) == learning.catalog.versions("click").newest
    assert learning.models.in_use("clicked") == []


def test_deletes_are_forgotten_when_no_import_asks_for_them(stages):
    stages.store.put("cart", {"cart_id": "c", "items": 1})
    stages.store.delete("cart", ["c"])
    before = Put("cart", {"cart_id": "c", "items": 2}, as_of=1)
    assert maintain(stages).problems == []
    assert stages.store.write([before]) == [KEPT]
    maintain(stages, now=time.time() + 721 * 3600)
    with pytest.raises(ConditionFailed, match="forgotten"):
        stages.store.write([before])
