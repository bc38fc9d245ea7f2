"""What every store must do."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from caudal.errors import ConditionFailed, ContractError, InvalidItem, NotFound, UsageError
from caudal.ingest.changes import decode_change
from caudal.ingest.items import encode_key
from caudal.ingest.store import ABSENT, PRESENT, Delete, Put, Store, Update, open_store
from caudal.ingest.stream import Stream, open_stream, shard_of
from caudal.records import Item
from caudal.testing.held_back import StoreHeldBack
from caudal.testing.store_as_of import StoreAsOf
from caudal.testing.store_indexes import StoreIndexes
from caudal.testing.store_machine import compare_with_memory
from caudal.testing.store_renames import StoreRenames
from caudal.testing.store_together import StoreTogether, check_chain, read_changes
from caudal.testing.store_ttl import StoreTtl


class StoreSuite(StoreTogether, StoreRenames, StoreTtl, StoreHeldBack, StoreAsOf, StoreIndexes):
    """Subclass as `TestXStore`, say where a fresh one is, and every promise is checked."""

    scheme: str

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """A store with two tables: stock by sku, line by order and number."""
        store = open_store(self.url(tmp_path))
        store.declare("stock", ["sku"])
        store.declare("line", ["order_id", "number"], 2)
        yield store
        store.close()

    @pytest.fixture
    def stream(self, tmp_path: Path, store: Store) -> Iterator[Stream]:
        """Where its changes are."""
        stream = open_stream(self.url(tmp_path))
        yield stream
        stream.close()

    def test_an_item_that_was_never_written_is_none(self, store: Store) -> None:
        assert store.get("stock", ["coffee"]) is None
        assert store.query("stock").items == []

    def test_an_item_comes_back_as_it_went_in(self, store: Store) -> None:
        item = {
            "sku": "coffee", "text": 'a"\n\x00é😀', "empty": "", "none": None, "yes": True, "bytes": b"\x00\xff",
            "list": [1, "a", [None]], "dict": {"a": {"b": b"c"}, "$bytes": "no"}, "lone": {"$bytes": "no"}, "$dict": {"$dict": 1},
        }
        store.put("stock", item)
        assert store.get("stock", ["coffee"]) == item

    @pytest.mark.parametrize("given,kept", [
        (2**53 + 1, 2**53 + 1), (10**38 - 1, 10**38 - 1), (-(10**38) + 1, -(10**38) + 1), (0.1, Decimal("0.1")), (5.0, 5),
        (Decimal("12345678901234567890123456789.123456789"), Decimal("12345678901234567890123456789.123456789")),
        (Decimal("5.00"), 5), (Decimal("1E+3"), 1000), (Decimal("1E+100"), Decimal("1E+100")), (10**100, Decimal("1E+100")),
        (Decimal("-1E-130"), Decimal("-1E-130")), (-0.0, 0), (Decimal("0E+500"), 0),
    ])
    def test_a_number_is_kept_to_its_last_digit(self, store: Store, given: Any, kept: Any) -> None:
        """D01, D02, D04."""
        store.put("stock", {"sku": "coffee", "n": given, "deep": [given]})
        item = store.get("stock", ["coffee"])
        assert item is not None
        assert (item["n"], type(item["n"])) == (kept, type(kept))
        assert item["deep"] == [kept]

    @pytest.mark.parametrize("value", [
        10**38 + 1, Decimal("1." + "1" * 38), Decimal("1E+126"), 1e300, 5e-324, float("nan"), float("inf"), Decimal("NaN"),
        "\ud800", {True}, {1: 2}, {"a": {None: 1}}, datetime(2026, 1, 1),
    ], ids=repr)
    def test_what_cannot_be_held_exactly_is_refused_and_named_but_not_shown(
        self, store: Store, stream: Stream, value: Any
    ) -> None:
        with pytest.raises(InvalidItem, match="secret_size") as refused:
            store.write([Put("stock", {"sku": "tea"}), Put("stock", {"sku": "coffee", "secret_size": value})])
        assert "111" not in str(refused.value)
        assert list(store.scan("stock")) == []
        assert read_changes(stream, "stock", ("sku",)) == []

    def test_an_item_without_its_whole_key_is_refused(self, store: Store) -> None:
        for item in ({}, {"order_id": 1}, {"order_id": 1, "number": None}, {"order_id": 1, "number": 1.5}):
            with pytest.raises(InvalidItem):
                store.put("line", item)

    def test_a_key_has_one_form_by_the_readers_of_its_table(self, store: Store, stream: Stream) -> None:
        store.declare("visit", ["at", "n"], 4, [datetime.fromisoformat, Decimal])
        for at, n in (("2026-01-01T00:00:00Z", "1.50"), ("2026-01-01T01:00:00+01:00", 1.5), ("2026-01-01T00:00:00.000Z", "1.5")):
            store.put("visit", {"at": at, "n": n if isinstance(n, str) else Decimal("1.5")})
        assert len(list(store.scan("visit"))) == 1
        assert store.get("visit", ["2026-01-01T00:00Z", "1.500"]) == {"at": "2026-01-01T00:00:00.000Z", "n": "1.5"}
        assert len(store.query("visit", ["2025-12-31T23:00:00-01:00"], low="1.5", high="1.50").items) == 1
        assert store.update("visit", ["2026-01-01T00:00:00Z", "1.5"], {"seen": True}) is not None
        assert sum(ends.next > 0 for ends in stream.ends("visit").values()) == 1
        store.delete("visit", ["2026-01-01T02:00:00+02:00", "01.5"])
        assert list(store.scan("visit")) == []

    def test_a_key_of_another_shape_is_refused(self, store: Store) -> None:
        for key in ([], ["a", "b"], "coffee", b"c", [None]):
            with pytest.raises(InvalidItem):
                store.get("stock", key)
            with pytest.raises(InvalidItem):
                store.delete("stock", key)

    def test_a_table_that_was_not_declared_is_not_found(self, store: Store) -> None:
        for call in (lambda: store.put("no", {"a": 1}), lambda: store.get("no", [1]), lambda: store.query("no")):
            with pytest.raises(NotFound):
                call()

    def test_declaring_again_changes_nothing_and_another_key_is_refused(self, store: Store, stream: Stream) -> None:
        store.put("stock", {"sku": "coffee"})
        store.declare("stock", ["sku"], 9)
        assert len(stream.ends("stock")) == 4
        with pytest.raises(ContractError):
            store.declare("stock", ["name"])
        assert store.get("stock", ["coffee"]) == {"sku": "coffee"}
        assert store.tables() == {"line": ("order_id", "number"), "stock": ("sku",)}

    def test_a_table_is_declared_with_a_list_of_columns_and_a_number_of_shards(self, store: Store, stream: Stream) -> None:
        for key, shards in (("sku", 4), ([], 4), (["sku"], 0)):
            with pytest.raises(UsageError):
                store.declare("other", key, shards)
        assert "other" not in store.tables()
        assert "other" not in stream.names()

    def test_each_write_has_one_change_that_matches_it(self, store: Store, stream: Stream) -> None:
        before = datetime.now(UTC)
        ids = [
            store.put("stock", {"sku": "coffee", "n": 1}), store.put("stock", {"sku": "coffee", "n": Decimal("1.5"), "x": None}),
            store.update("stock", ["coffee"], {"y": b"b"}, add={"n": 1}, remove=["x", "never"]),
            store.delete("stock", ["coffee"], reason='user "42"\n'), store.put("stock", {"sku": "coffee"}),
        ]
        changes = read_changes(stream, "stock", ("sku",))
        expected: list[tuple[Any, ...]] = [
            ("put", None, {"sku": "coffee", "n": 1}, None),
            ("put", {"sku": "coffee", "n": 1}, {"sku": "coffee", "n": Decimal("1.5"), "x": None}, None),
            ("put", {"sku": "coffee", "n": Decimal("1.5"), "x": None}, {"sku": "coffee", "n": Decimal("2.5"), "y": b"b"}, None),
            ("delete", {"sku": "coffee", "n": Decimal("2.5"), "y": b"b"}, None, 'user "42"\n'),
            ("put", None, {"sku": "coffee"}, None),
        ]
        assert [(change.op, change.before, change.after, change.reason) for change in changes] == expected
        assert [change.event_id for change in changes] == ids
        assert len(set(ids)) == 5
        times = [change.event_time for change in changes]
        assert times == sorted(times)
        assert abs(times[0] / 1e6 - before.timestamp()) < 60

    def test_a_delete_of_nothing_is_no_change(self, store: Store, stream: Stream) -> None:
        assert store.delete("stock", ["coffee"]) is None
        assert read_changes(stream, "stock", ("sku",)) == []

    def test_a_put_that_skips_the_same_is_a_change_only_if_it_differs(self, store: Store, stream: Stream) -> None:
        for item in ({"sku": "a", "n": 1}, {"sku": "a", "n": 1}, {"sku": "a", "n": 2}):
            store.write([Put("stock", item, skip_same=True)])
        assert len(read_changes(stream, "stock", ("sku",))) == 2

    def test_writes_of_one_call_see_each_other_in_order(self, store: Store, stream: Stream) -> None:
        ids = store.write([
            Put("stock", {"sku": "a", "n": 1}, ABSENT), Update("stock", ["a"], add={"n": 1}, expect={"n": 1}),
            Delete("stock", ["a"], {"n": 2}), Delete("stock", ["a"]), Update("stock", ["a"], {"n": 5}, expect=ABSENT),
            Put("line", {"order_id": "o", "number": 1}),
        ])
        assert ids[3] is None
        assert check_chain(read_changes(stream, "stock", ("sku",))) == {("a",): {"sku": "a", "n": 5}}
        assert len(read_changes(stream, "line", ("order_id", "number"))) == 1

    @pytest.mark.parametrize(
        "bad,error",
        [
            (Put("stock", {"sku": "a"}, ABSENT), ConditionFailed),
            (Put("line", {"order_id": "o"}), InvalidItem),
            (Put("nowhere", {"sku": "a"}), NotFound),
            (Update("stock", ["a"], {"sku": "b"}), InvalidItem),
            (Update("stock", ["a"], add={"name": 1}), InvalidItem),
            (Update("stock", ["a"], add={"n": "1"}), InvalidItem),  # type: ignore[dict-item]
            (Update("stock", ["a"], add={"n": True}), InvalidItem),
            (Update("stock", ["a"], add={"n": Decimal("1e-60")}), InvalidItem),
        ],
        ids=str,
    )
    def test_one_write_that_fails_leaves_neither_items_nor_changes(
        self, store: Store, stream: Stream, bad: Any, error: type[Exception]
    ) -> None:
        store.put("stock", {"sku": "a", "n": 1, "name": "x"})
        ends = stream.now("stock"), stream.now("line")
        with pytest.raises(error):
            store.write([Put("stock", {"sku": "b"}), Put("line", {"order_id": "o", "number": 1}), Delete("stock", ["a"], PRESENT),
                         Put("stock", {"sku": "a", "n": 1, "name": "x"}), bad])
        assert list(store.scan("stock")) == [{"sku": "a", "n": 1, "name": "x"}]
        assert list(store.scan("line")) == []
        assert (stream.now("stock"), stream.now("line")) == ends

    @pytest.mark.parametrize("expect,holds", [
        (ABSENT, False), (PRESENT, True), ({}, True), ({"n": 1.1}, True), ({"n": Decimal("1.10")}, True), ({"n": 1}, False),
        ({"none": None}, True), ({"missing": None}, False), ({"missing": ABSENT}, True), ({"none": ABSENT}, False),
        ({"at": datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))}, True), ({"tags": ("a", 1)}, True),
        ({"yes": 1}, False), ({"yes": True, "n": 1.1}, True), ({"yes": True, "n": 2}, False),
    ])
    def test_a_write_takes_place_only_if_the_item_is_as_expected(self, store: Store, expect: Any, holds: bool) -> None:
        item = {"sku": "a", "n": 1.1, "none": None, "at": datetime(2026, 1, 1, tzinfo=UTC), "tags": ["a", 1], "yes": True}
        store.put("stock", item)
        if holds:
            assert store.update("stock", ["a"], {"done": True}, expect=expect)
        else:
            with pytest.raises(ConditionFailed):
                store.update("stock", ["a"], {"done": True}, expect=expect)
        assert ("done" in (store.get("stock", ["a"]) or {})) is holds

    def test_an_item_that_is_not_there_fails_every_expectation_but_absent(self, store: Store) -> None:
        for expect in (PRESENT, {}, {"x": ABSENT}):
            with pytest.raises(ConditionFailed):
                store.delete("stock", ["a"], expect)
        store.put("stock", {"sku": "a"}, ABSENT)

    def test_adding_is_exact(self, store: Store) -> None:
        large = Decimal("123456789012345678901234567890123456.25")
        store.put("stock", {"sku": "a", "n": large, "f": 0.1})
        store.update("stock", ["a"], add={"n": Decimal("-0.01"), "f": Decimal("0.2"), "new": -3})
        assert store.get("stock", ["a"]) == {
            "sku": "a", "n": Decimal("123456789012345678901234567890123456.24"), "f": Decimal("0.3"), "new": -3,
        }

    def test_pages_follow_the_order_of_keys_both_ways(self, store: Store) -> None:
        numbers = [-20, -3, Decimal("-0.5"), 0, Decimal("0.05"), 2, 10, 10**20]
        store.put_batch("line", [{"order_id": order, "number": n} for n in reversed(numbers) for order in ("a", "a\x00", "b")], 5)
        expected = [{"order_id": order, "number": n} for order in ("a", "a\x00", "b") for n in numbers]
        assert list(store.scan("line", page=3)) == expected
        assert self._pages(store, "line", limit=5) == expected
        assert self._pages(store, "line", limit=5, reverse=True) == expected[::-1]
        assert self._pages(store, "line", prefix=["a"], limit=3) == expected[:8]
        assert self._pages(store, "line", prefix=["a"], limit=8, reverse=True) == expected[7::-1]
        assert self._pages(store, "line", prefix=["a"], low=-3, high=2, limit=2) == expected[1:6]
        assert self._pages(store, "line", prefix=["a"], low=-3, high=2, limit=2, reverse=True) == expected[5:0:-1]
        assert self._pages(store, "line", low="a\x00", limit=7) == expected[8:]
        assert self._pages(store, "line", high="a", limit=7) == expected[:8]
        assert store.query("line", ["a", 2]).items == [{"order_id": "a", "number": 2}]
        assert store.query("line", ["a"], low=3, high=-3).items == []

    @staticmethod
    def _pages(store: Store, table: str, **how: Any) -> list[Item]:
        found: list[Item] = []
        after = None
        while True:
            page = store.query(table, after=after, **how)
            found += page.items
            assert 0 < len(page.items) <= how["limit"] or page.after is None
            if page.after is None:
                return found
            after = page.after

    def test_a_page_after_a_key_outside_the_range_stays_in_the_range(self, store: Store) -> None:
        store.put_batch("line", [{"order_id": "a", "number": n} for n in range(9)])
        assert [item["number"] for item in store.query("line", ["a"], high=3, after=["a", 7], reverse=True).items] == [3, 2, 1, 0]
        assert [item["number"] for item in store.query("line", ["a"], low=6, after=["a", 2]).items] == [6, 7, 8]

    def test_times_as_keys_sort_as_times_and_are_found_again(self, store: Store) -> None:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        times: list[Any] = [
            start,
            start + timedelta(microseconds=500),
            start.astimezone(timezone(timedelta(hours=5))) + timedelta(seconds=1),
        ]
        for n, time in enumerate(reversed(times)):
            store.put("line", {"order_id": date(2026, 1, 1), "number": time, "n": n})
        assert [item["n"] for item in self._pages(store, "line", prefix=[date(2026, 1, 1)], limit=1)] == [2, 1, 0]
        assert store.get("line", [date(2026, 1, 1), times[2].astimezone(UTC)]) is not None

    def test_a_query_that_makes_no_sense_is_refused(self, store: Store) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: store.query("line", "ab"),
            lambda: store.query("line", ["a", 1, 2]),
            lambda: store.query("line", ["a", 1], low=1),
            lambda: store.query("line", after=["a"]),
        ]
        for call in calls:
            with pytest.raises(InvalidItem):
                call()
        for limit in (0, -5):
            with pytest.raises(UsageError):
                store.query("line", limit=limit)

    def test_changes_of_a_key_are_in_the_shard_of_its_bytes(self, store: Store, stream: Stream) -> None:
        store.put_batch("stock", [{"sku": f"s{n}"} for n in range(40)])
        for shard in stream.ends("stock"):
            run = stream.read("stock", shard, 0)
            keys = [decode_change(run.raw(n), ("sku",)).key for n in range(len(run))]
            assert {shard_of(encode_key(key), 4) for key in keys} <= {shard}

    def test_what_was_written_is_there_after_reopening(self, tmp_path: Path, store: Store) -> None:
        store.put("stock", {"sku": "coffee", "n": 1})
        again = open_store(self.url(tmp_path))
        store.close()
        store.close()
        assert again.get("stock", ["coffee"]) == {"sku": "coffee", "n": 1}
        again.update("stock", ["coffee"], add={"n": 1})
        again.close()

    def test_it_behaves_like_the_store_in_memory(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Any sequence of calls leaves it equal to the model, items and changes."""
        compare_with_memory(lambda: self.url(tmp_path_factory.mktemp("store")))
