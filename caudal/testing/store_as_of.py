"""What every store must do with items as of a time: an import beside an application that goes on writing."""

import threading
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caudal.errors import ConditionFailed
from caudal.ingest.changes import decode_change
from caudal.ingest.store import ABSENT, KEPT, Delete, Put, Store
from caudal.ingest.stream import Stream
from caudal.records import Change

_KEYS = ("a", "b")
_steps = st.lists(st.tuples(
    st.sampled_from(["put", "put", "delete", "import", "import", "import", "same"]), st.sampled_from(_KEYS), st.integers(0, 3),
    st.integers(0, 9),
), max_size=12)


def _now() -> int:
    return time.time_ns() // 1000


def _changes(stream: Stream, table: str = "stock") -> list[Change]:
    found = []
    for shard, ends in stream.ends(table).items():
        run = stream.read(table, shard, ends.oldest)
        found += [decode_change(run.raw(n), ("sku",)) for n in range(len(run))]
    return found


def _item(sku: str, n: int) -> dict[str, Any]:
    return {"sku": sku, "n": n}


class StoreAsOf:
    """A part of `StoreSuite`."""

    def test_an_item_as_of_a_time_leaves_what_is_newer_and_replaces_what_is_older(self, store: Store, stream: Stream) -> None:
        before = _now() - 1
        store.put("stock", _item("a", 1))
        assert store.write([Put("stock", _item("a", 2), as_of=before), Put("stock", _item("b", 2), as_of=before)])[0] == KEPT
        assert (store.get("stock", ["a"]), store.get("stock", ["b"])) == (_item("a", 1), _item("b", 2))
        after = _now() + 1
        assert store.write([Put("stock", _item("a", 3), as_of=after)]) != [KEPT]
        assert store.get("stock", ["a"]) == _item("a", 3)
        told = {(change.key[0], change.event_time) for change in _changes(stream)}
        assert {("b", before), ("a", after)} <= told

    def test_a_deleted_item_is_not_revived(self, store: Store, stream: Stream) -> None:
        store.put("stock", _item("a", 1))
        before = _now()
        time.sleep(0.001)
        store.delete("stock", ["a"])
        assert store.write([Put("stock", _item("a", 2), as_of=before)]) == [KEPT]
        assert store.get("stock", ["a"]) is None
        assert [change.op for change in _changes(stream)] == ["put", "delete"]
        assert store.write([Put("stock", _item("a", 2), as_of=_now() + 1)]) != [KEPT]
        assert store.get("stock", ["a"]) == _item("a", 2)

    def test_an_expired_item_that_was_swept_is_not_revived(self, store: Store) -> None:
        store.declare("cart", ["id"], ttl="expires")
        store.put("cart", {"id": "c", "expires": 1_767_225_661})
        before = _now()
        time.sleep(0.001)
        assert store.sweep("cart", time.time(), 10) == 1
        assert store.write([Put("cart", {"id": "c"}, as_of=before)]) == [KEPT]

    def test_an_item_that_is_the_same_later_is_of_the_later_time(self, store: Store, stream: Stream) -> None:
        times = [_now() - 30, _now() - 20, _now() - 10]
        store.write([Put("stock", _item("a", 1), as_of=times[0])])
        assert store.write([Put("stock", _item("a", 1), skip_same=True, as_of=times[2])]) == [None]
        assert store.write([Put("stock", _item("a", 2), as_of=times[1])]) == [KEPT]
        assert len(_changes(stream)) == 1

    def test_running_it_again_writes_no_change(self, store: Store, stream: Stream) -> None:
        writes = [Put("stock", _item(f"s{n}", n), skip_same=True, as_of=_now()) for n in range(10)]
        assert None not in store.write(writes)
        assert store.write(writes) == [None] * 10
        assert len(_changes(stream)) == 10

    def test_of_one_transaction_the_deletes_count_too(self, store: Store) -> None:
        then = _now() - 1
        store.put("stock", _item("a", 1))
        assert store.write([Delete("stock", ["a"]), Put("stock", _item("a", 2), as_of=then)])[1] == KEPT
        assert store.get("stock", ["a"]) is None

    def test_a_condition_counts_before_the_time(self, store: Store) -> None:
        store.put("stock", _item("a", 1))
        with pytest.raises(ConditionFailed):
            store.write([Put("stock", _item("a", 2), expect=ABSENT, as_of=_now() + 1)])

    def test_forgotten_deletes_are_not_taken_for_none(self, store: Store) -> None:
        store.put_batch("stock", [_item(f"s{n}", n) for n in range(5)])
        before = _now()
        time.sleep(0.001)
        for n in range(4):
            store.delete("stock", [f"s{n}"])
        assert store.forget("stock", before, 10) == 0
        assert [store.forget("stock", _now() + 1, 3) for _ in range(3)] == [3, 1, 0]
        with pytest.raises(ConditionFailed, match="forgotten"):
            store.write([Put("stock", _item("s0", 9), as_of=before)])
        assert store.get("stock", ["s0"]) is None
        assert store.write([Put("stock", _item("s4", 9), as_of=_now() + 1)]) != [KEPT]  # an item that is there is known
        assert store.write([Put("stock", _item("s0", 9), as_of=_now() + 1)]) != [KEPT]

    def test_whatever_the_order_the_latest_time_wins(self, store: Store, stream: Stream) -> None:
        """Live writes and imports in any order: each key is as its latest time says, and its times never go back."""

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_steps)
        def check(steps: list[tuple[str, str, int, int]]) -> None:
            for key in _KEYS:
                store.delete("stock", [key])
            start = len(_changes(stream))
            moments = [_now() + 1]
            state: dict[str, tuple[int, int | None]] = dict.fromkeys(_KEYS, (moments[0] - 1, None))
            while _now() <= moments[0]:
                pass
            for kind, key, value, choice in steps:
                if kind == "put" and store.put("stock", _item(key, value)):
                    state[key] = (_now(), value)
                elif kind == "delete" and store.delete("stock", [key]):
                    state[key] = (_now(), None)
                elif kind in ("import", "same"):
                    as_of, at = moments[choice % len(moments)], state[key][0]
                    store.write([Put("stock", _item(key, value), skip_same=kind == "same", as_of=as_of)])
                    if as_of >= at:
                        state[key] = (as_of, value)
                while _now() <= max(moments[-1], *(at for at, _ in state.values())):
                    pass  # each step at a microsecond of its own
                moments.append(_now())
                while _now() <= moments[-1]:
                    pass
            for key in _KEYS:
                assert store.get("stock", [key]) == (None if state[key][1] is None else _item(key, state[key][1] or 0))
                times = [change.event_time for change in _changes(stream)[start:] if change.key == (key,)]
                assert times == sorted(times)

        check()

    def test_an_import_beside_live_writers_loses_none_of_their_writes(self, store: Store) -> None:
        keys, as_of = [f"s{n}" for n in range(200)], _now()
        time.sleep(0.001)
        live: dict[str, int | None] = {}

        def write() -> None:
            for n, key in enumerate(keys[::2]):
                store.put("stock", _item(key, 1000 + n))
                live[key] = 1000 + n
                if n % 5 == 0:
                    store.delete("stock", [key])
                    live[key] = None

        thread = threading.Thread(target=write)
        thread.start()
        for start in range(0, len(keys), 20):
            store.write([Put("stock", _item(key, 1), skip_same=True, as_of=as_of) for key in keys[start : start + 20]])
        thread.join()
        for key in keys:
            item = store.get("stock", [key])
            assert (item["n"] if item else None) == live.get(key, 1)
