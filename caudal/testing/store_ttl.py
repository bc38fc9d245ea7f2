"""What every store must do with items that expire."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from caudal.errors import ConditionFailed, NotFound
from caudal.ingest.changes import decode_change
from caudal.ingest.store import ABSENT, PRESENT, Store
from caudal.ingest.stream import Stream
from caudal.records import Item

PAST, FUTURE = 1_767_225_661, 4_102_444_800


def _cart(name: str, expires: Any) -> Item:
    return {"id": name, "expires": expires} if expires is not None else {"id": name}


class StoreTtl:
    """A part of `StoreSuite`."""

    @pytest.mark.parametrize("expires", [
        PAST, Decimal("1767225661.5"), datetime.fromtimestamp(PAST, UTC), "2026-01-01T00:01:01Z", "2026-01-01T02:01:01+02:00",
        "2026-01-01", 0, -5,
    ], ids=str)
    def test_an_expired_item_is_not_shown_before_it_is_swept(self, store: Store, expires: Any) -> None:
        store.declare("cart", ["id"], ttl="expires")
        store.put("cart", _cart("old", expires))
        store.put("cart", _cart("new", FUTURE))
        assert store.get("cart", ["old"]) is None
        assert store.get("cart", ["new"]) == _cart("new", FUTURE)
        assert [item["id"] for item in store.query("cart").items] == ["new"]
        assert store.count_expired("cart", time.time()) == 1
        assert [store.sweep("cart", time.time(), 10), store.sweep("cart", time.time(), 10)] == [1, 0]
        assert store.count_expired("cart", time.time()) == 0

    @pytest.mark.parametrize("expires", [
        FUTURE, Decimal("4102444800.25"), datetime.fromtimestamp(FUTURE, UTC), "2100-01-01T00:00:00+02:00", None, True, "soon",
        "now", "2460000", "", [PAST], {"at": PAST}, b"1",
    ], ids=str)
    def test_an_item_whose_time_has_not_come_or_is_no_time_stays(self, store: Store, expires: Any) -> None:
        store.declare("cart", ["id"], ttl="expires")
        store.put("cart", _cart("a", expires))
        assert store.get("cart", ["a"]) is not None
        assert len(store.query("cart").items) == 1
        assert (store.sweep("cart", time.time(), 10), store.count_expired("cart", time.time())) == (0, 0)

    def test_d29_a_ttl_in_milliseconds_never_comes(self, store: Store) -> None:
        store.declare("cart", ["id"], ttl="expires_at")
        store.put("cart", {"id": "seconds", "expires_at": 1767225661})
        store.put("cart", {"id": "milliseconds", "expires_at": 1767225661573})
        assert store.sweep("cart", time.time(), 10) == 1
        assert [item["id"] for item in store.scan("cart")] == ["milliseconds"]

    def test_sweeping_is_by_small_batches_and_writes_changes_with_the_reason(self, store: Store, stream: Stream) -> None:
        store.declare("cart", ["id"], shards=1, ttl="expires")
        store.put_batch("cart", [_cart(f"c{n}", PAST if n % 2 else FUTURE) for n in range(10)])
        swept = []
        while count := store.sweep("cart", time.time(), 2):
            swept.append(count)
        assert swept == [2, 2, 1]
        run = stream.read("cart", 0, 10)
        changes = [decode_change(run.raw(n), ("id",)) for n in range(len(run))]
        assert {(change.op, change.reason, change.after) for change in changes} == {("delete", "ttl", None)}
        assert {change.key for change in changes} == {(f"c{n}",) for n in range(1, 10, 2)}
        assert all(change.before == _cart(change.key[0], PAST) for change in changes)

    def test_a_write_finds_no_expired_item(self, store: Store, stream: Stream) -> None:
        store.declare("cart", ["id"], shards=1, ttl="expires")
        for name in ("a", "b", "c"):
            store.put("cart", {**_cart(name, PAST), "n": 7})
        with pytest.raises(ConditionFailed):
            store.put("cart", _cart("a", FUTURE), expect=PRESENT)
        store.put("cart", _cart("a", FUTURE), expect=ABSENT)
        store.update("cart", ["b"], {"expires": FUTURE}, add={"n": 1})
        assert store.get("cart", ["b"]) == {"id": "b", "expires": FUTURE, "n": 1}
        assert store.sweep("cart", time.time(), 10) == 1
        run = stream.read("cart", 0, 3)
        assert [decode_change(run.raw(n), ("id",)).before for n in range(3)] == [
            {**_cart(name, PAST), "n": 7} for name in ("a", "b", "c")
        ]

    def test_pages_are_full_whatever_expired(self, store: Store) -> None:
        store.declare("cart", ["id"], ttl="expires")
        store.put_batch("cart", [_cart(f"c{n:02d}", PAST if n % 3 else FUTURE) for n in range(30)])
        page = store.query("cart", limit=4)
        assert [item["id"] for item in page.items] == ["c00", "c03", "c06", "c09"]
        assert [item["id"] for item in store.query("cart", limit=100, after=page.after).items] == [
            f"c{n:02d}" for n in range(12, 30, 3)
        ]
        assert len(list(store.scan("cart", page=3))) == 10

    def test_what_expires_by_which_attribute_may_change(self, store: Store) -> None:
        store.declare("cart", ["id"])
        store.put("cart", {"id": "a", "one": PAST, "two": FUTURE})
        for ttl, there in ((None, True), ("one", False), (None, False), ("two", True), ("one", False), ("", True)):
            store.declare("cart", ["id"], ttl=ttl)
            assert (store.get("cart", ["a"]) is not None) is there
            assert store.count_expired("cart", time.time()) == (not there)

    def test_sweeping_an_unknown_table_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            store.sweep("no", 0, 1)
        with pytest.raises(NotFound):
            store.count_expired("no", 0)

    def test_an_item_expires_by_what_its_attribute_was_called_before(self, store: Store) -> None:
        store.declare("cart", ["id"], ttl="until")
        store.put_batch("cart", [
            {"id": "old", "until": PAST}, {"id": "older", "ends": PAST}, {"id": "later", "until": FUTURE, "ends": PAST},
            {"id": "new", "expires": FUTURE, "until": PAST}, {"id": "never", "expires": None, "until": PAST},
            {"id": "empty", "until": None, "ends": PAST},
        ])
        store.declare("cart", ["id"], renames={"until": "expires", "ends": "expires"}, ttl="expires")
        assert [item["id"] for item in store.scan("cart")] == ["later", "never", "new"]
        assert store.count_expired("cart", time.time()) == 3
        assert [store.sweep("cart", time.time(), 2), store.sweep("cart", time.time(), 2)] == [2, 1]
        store.declare("cart", ["id"])
        assert [item["id"] for item in store.scan("cart")] == ["later", "never", "new"]
