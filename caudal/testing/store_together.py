"""What every store must do when several write at once, or one is killed."""

import threading
from abc import abstractmethod
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from caudal.errors import ConditionFailed
from caudal.ingest.changes import decode_change
from caudal.ingest.store import ABSENT, Put, Store
from caudal.ingest.stream import Stream
from caudal.records import Change, Item
from caudal.testing.processes import run_and_kill, run_together

ADD_MANY = """
import sys
from caudal.ingest.store import open_store
store = open_store(sys.argv[1])
for _ in range(50):
    store.update("stock", ["coffee"], add={"n": 1})
"""

PUT_FOR_EVER = """
import sys
from itertools import count
from caudal.ingest.store import Put, open_store
store = open_store(sys.argv[1])
for n in count():
    store.write([Put("stock", {"sku": f"a{n}"}), Put("stock", {"sku": f"b{n}"})])
    print(n)
"""


def read_changes(stream: Stream, table: str, key: tuple[str, ...]) -> list[Change]:
    """All changes of a table, shard by shard."""
    found = []
    for shard, offset in stream.start(table).items():
        while len(run := stream.read(table, shard, offset)):
            found += [decode_change(run.raw(n), key) for n in range(len(run))]
            offset = run.next
    return found


def check_chain(changes: list[Change]) -> dict[tuple[Any, ...], Item]:
    """The items that the changes leave, each change's before being what the one before it left."""
    items: dict[tuple[Any, ...], Item] = {}
    for change in changes:
        assert change.before == items.get(change.key), change
        if change.after is None:
            del items[change.key]
        else:
            items[change.key] = change.after
    return items


class StoreTogether:
    """The part of `StoreSuite` that is about company."""

    processes = True
    """Whether other processes can open it."""

    @abstractmethod
    def url(self, folder: Path) -> str:
        """The URL of a store that nobody has used; the same for the same folder. It is its stream's as well."""

    def test_threads_lose_no_update_and_break_no_chain(self, store: Store, stream: Stream) -> None:
        def add(sku: str) -> None:
            for _ in range(25):
                store.update("stock", [sku], add={"n": 1})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, ["coffee", "tea"] * 4))
        changes = read_changes(stream, "stock", ("sku",))
        assert check_chain(changes) == {(sku,): {"sku": sku, "n": 100} for sku in ("coffee", "tea")}
        assert len({change.event_id for change in changes}) == 200
        by_key = defaultdict(list)
        for change in changes:
            by_key[change.key].append(change.event_time)
        assert all(early <= late for times in by_key.values() for early, late in pairwise(times))

    def test_of_many_who_expect_absence_one_wins(self, store: Store) -> None:
        def claim(who: int) -> bool:
            try:
                return store.put("stock", {"sku": "coffee", "who": who}, ABSENT) is not None
            except ConditionFailed:
                return False

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(claim, range(16)))
        assert won.count(True) == 1
        assert store.get("stock", ["coffee"]) == {"sku": "coffee", "who": won.index(True)}

    def test_a_reader_never_sees_half_of_a_call(self, store: Store) -> None:
        done = threading.Event()

        def write() -> None:
            for n in range(40):
                store.write([Put("stock", {"sku": sku, "n": n}) for sku in ("a", "b", "c")])
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            assert len({item["n"] for item in store.query("stock").items}) <= 1
        writer.join()

    def test_a_moment_of_the_streams_never_splits_a_call(self, store: Store, stream: Stream) -> None:
        store.declare("basket", ["sku"], shards=2)
        done = threading.Event()

        def write() -> None:
            for n in count():
                store.write([Put("stock", {"sku": f"a{n}"}), Put("basket", {"sku": f"b{n}"}), Put("stock", {"sku": f"c{n}"})])
                if done.is_set():
                    return

        writer = threading.Thread(target=write)
        writer.start()
        seen: set[int] = set()
        while len(seen) < 20:
            moment = stream.moment(["stock", "basket"])
            lines, baskets = (sum(positions.values()) for positions in (moment["stock"], moment["basket"]))
            assert lines == 2 * baskets
            seen.add(baskets)
        done.set()
        writer.join()
        assert stream.moment(["basket", "stock"]) == {name: stream.now(name) for name in ("basket", "stock")}

    def test_processes_lose_no_update_and_break_no_chain(self, tmp_path: Path, store: Store, stream: Stream) -> None:
        if not self.processes:
            pytest.skip("of one process")
        run_together([ADD_MANY] * 2, self.url(tmp_path))
        assert check_chain(read_changes(stream, "stock", ("sku",))) == {("coffee",): {"sku": "coffee", "n": 100}}

    def test_what_was_acknowledged_survives_kill_9_with_its_changes(self, tmp_path: Path, store: Store, stream: Stream) -> None:
        if not self.processes:
            pytest.skip("of one process")
        lines = run_and_kill(PUT_FOR_EVER, self.url(tmp_path), lines=20)
        items = {(item["sku"],): item for item in store.scan("stock")}
        assert {(f"{half}{n}",) for n in lines for half in "ab"} <= items.keys()
        assert len(items) % 2 == 0
        assert check_chain(read_changes(stream, "stock", ("sku",))) == items
