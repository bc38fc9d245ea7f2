"""What every store must do with secondary indexes, modifications and tables that go."""

from decimal import Decimal
from typing import Any

import pytest

from caudal.errors import ConditionFailed, ContractError, InvalidItem, NotFound
from caudal.ingest.changes import decode_change
from caudal.ingest.store import Modify, Open, Put, StartsWith, Store
from caudal.ingest.stream import Stream
from caudal.records import Item


def _skus(store: Store, prefix: list[Any], index: str = "by_kind", **bounds: Any) -> list[str]:
    return [item["sku"] for item in store.query("stock", prefix, index=index, **bounds).items]


class StoreIndexes:
    """A part of `StoreSuite`."""

    def test_an_index_follows_every_write_and_has_what_was_there_before(self, store: Store) -> None:
        store.write([Put("stock", {"sku": name, "kind": "tea", "n": n}) for n, name in enumerate("cab")])
        store.index("stock", "by_kind", ["kind", "n"])
        assert _skus(store, ["tea"]) == ["c", "a", "b"]
        store.put("stock", {"sku": "c", "kind": "tea", "n": 9})
        store.delete("stock", ["a"])
        for item in ({"sku": "d"}, {"sku": "e", "kind": "tea"}, {"sku": "f", "kind": None, "n": 1}):
            store.put("stock", item)
        assert _skus(store, ["tea"]) == ["b", "c"]
        store.update("stock", ["c"], {"kind": "mug"})
        store.update("stock", ["d"], {"kind": "tea", "n": Decimal("2.5")})
        assert (_skus(store, ["tea"]), _skus(store, ["mug"]), _skus(store, [])) == (["b", "d"], ["c"], ["c", "b", "d"])

    def test_pages_of_an_index_go_on_where_the_last_ended(self, store: Store) -> None:
        store.index("stock", "by_kind", ["kind"])
        store.put_batch("stock", [{"sku": f"s{n}", "kind": "ab"[n % 2]} for n in range(10)])
        for reverse in (False, True):
            found: list[str] = []
            after = None
            while True:
                page = store.query("stock", ["a"], limit=2, after=after, reverse=reverse, index="by_kind")
                found += [item["sku"] for item in page.items]
                after = page.after
                if after is None:
                    break
            assert found == sorted((f"s{n}" for n in range(0, 10, 2)), reverse=reverse)

    def test_bounds_may_be_open_or_the_start_of_a_text(self, store: Store) -> None:
        for name in ("a", "ab", "ab\x00", "abc", "ac", "b\U0010ffff"):
            store.put("stock", {"sku": name})
        for data in (b"\xff", b"\xff\xff", b"\xff\x00", b"\xfe"):
            store.put("stock", {"sku": data})
        for n in (-1, 0, 1):
            store.put("line", {"order_id": "o", "number": n})

        def keys(**bounds: Any) -> list[Any]:
            return [item["sku"] for item in store.query("stock", **bounds).items]

        assert keys(low=StartsWith("ab")) == ["ab", "ab\x00", "abc"]
        assert keys(low=StartsWith(b"\xff")) == [b"\xff", b"\xff\x00", b"\xff\xff"]
        assert keys(low=StartsWith("b")) == ["b\U0010ffff"]
        assert keys(low=Open("ab"), high=Open("ac")) == ["ab\x00", "abc"]
        assert [item["number"] for item in store.query("line", ["o"], low=Open(-1)).items] == [0, 1]
        assert [item["number"] for item in store.query("line", ["o"], high=Open(1)).items] == [-1, 0]

    def test_an_index_of_another_shape_or_of_no_table_is_refused(self, store: Store) -> None:
        store.index("stock", "by_kind", ["kind"])
        store.index("stock", "by_kind", ["kind"])
        with pytest.raises(ContractError):
            store.index("stock", "by_kind", ["n"])
        with pytest.raises(NotFound):
            store.index("no", "by_kind", ["n"])
        store.drop_index("stock", "by_kind")
        with pytest.raises(NotFound):
            store.query("stock", index="by_kind")

    def test_a_modification_sees_the_item_and_makes_the_next(self, store: Store, stream: Stream) -> None:
        def more(item: Item | None) -> Item:
            return {"sku": "tea", "n": (item or {"n": 0})["n"] + 1}

        assert all(store.write([Modify("stock", ["tea"], more), Modify("stock", ["tea"], more)]))
        assert store.get("stock", ["tea"]) == {"sku": "tea", "n": 2}
        same = [Modify("stock", ["tea"], lambda item: item), Modify("stock", ["tea"], lambda item: dict(item or {}))]
        assert store.write([*same, Modify("stock", ["no"], lambda item: item)]) == [None, None, None]
        assert store.write([Modify("stock", ["tea"], lambda item: None)]) != [None]
        assert store.get("stock", ["tea"]) is None
        shard = next(shard for shard, ends in stream.ends("stock").items() if ends.next)
        run = stream.read("stock", shard, 0)
        changes = [decode_change(run.raw(n), ("sku",)) for n in range(len(run))]
        assert [(c.op, (c.after or {}).get("n")) for c in changes] == [("put", 1), ("put", 2), ("delete", None)]

    def test_a_modification_that_refuses_undoes_all_writes(self, store: Store) -> None:
        def refuse(item: Item | None) -> Item | None:
            raise ConditionFailed("no")

        with pytest.raises(ConditionFailed):
            store.write([Put("stock", {"sku": "tea"}), Modify("stock", ["mug"], refuse)])
        with pytest.raises(InvalidItem):
            store.write([Put("stock", {"sku": "tea"}), Modify("stock", ["mug"], lambda item: {"sku": "other"})])
        assert store.get("stock", ["tea"]) is None

    @pytest.mark.parametrize("value", [
        {"a", "b"}, {1, Decimal("0.5"), 10**38 - 1}, {b"", b"\xff"}, [{"x"}, {"$set": [1]}],
    ], ids=["text", "numbers", "bytes", "nested"])
    def test_a_set_comes_back_as_it_went_in(self, store: Store, value: Any) -> None:
        store.put("stock", {"sku": "tea", "value": value})
        assert store.get("stock", ["tea"]) == {"sku": "tea", "value": value}

    @pytest.mark.parametrize("value", [set(), {1, "a"}, {True}, {(1,)}, {None}], ids=["empty", "mixed", "bool", "tuple", "none"])
    def test_an_empty_or_mixed_set_is_refused(self, store: Store, value: Any) -> None:
        with pytest.raises(InvalidItem):
            store.put("stock", {"sku": "tea", "value": value})
        assert store.get("stock", ["tea"]) is None

    def test_a_dropped_table_is_gone_and_may_be_made_again(self, store: Store, stream: Stream) -> None:
        store.index("stock", "by_kind", ["kind"])
        store.put("stock", {"sku": "tea", "kind": "a"})
        store.drop("stock")
        store.drop("stock")
        assert "stock" not in store.tables()
        with pytest.raises(NotFound):
            store.get("stock", ["tea"])
        store.declare("stock", ["code"])
        assert list(store.scan("stock")) == []
        with pytest.raises(NotFound):
            store.query("stock", index="by_kind")
