"""Items whose attributes were renamed since: what every store must do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from caudal.errors import ConditionFailed
from caudal.ingest.store import ABSENT, Store, open_store
from caudal.records import Item

RENAMES = {"qty": "quantity", "pieces": "quantity", "comment": "note"}


class StoreRenames:
    """Part of `StoreSuite`."""

    def url(self, folder: Path) -> str:
        """Where the store is."""
        raise AssertionError("StoreSuite says it")

    @pytest.fixture
    def renaming(self, tmp_path: Path) -> Iterator[Store]:
        """A store of items from before the contract changed."""
        store = open_store(self.url(tmp_path / "renaming"))
        store.declare("sale", ["id"])
        store.put_batch("sale", [
            {"id": "a", "qty": 1, "comment": "c"}, {"id": "b", "pieces": 2},
            {"id": "c", "quantity": 3, "qty": 9, "colour": "red"}, {"id": "d", "note": None, "comment": "gone"},
        ])
        store.declare("sale", ["id"], renames=RENAMES)
        yield store
        store.close()

    def test_items_show_their_attributes_under_the_new_names(self, renaming: Store) -> None:
        wanted: list[Item] = [
            {"id": "a", "quantity": 1, "note": "c"}, {"id": "b", "quantity": 2}, {"id": "c", "quantity": 3, "colour": "red"},
            {"id": "d", "note": None},
        ]
        assert [renaming.get("sale", [item["id"]]) for item in wanted] == wanted
        assert list(renaming.scan("sale", page=2)) == wanted

    def test_amounts_are_added_to_what_was_there_under_the_old_name(self, renaming: Store) -> None:
        renaming.update("sale", ["a"], add={"quantity": 10})
        renaming.update("sale", ["b"], add={"qty": 10}, set={"comment": "late"})
        renaming.update("sale", ["c"], remove=["qty"])
        assert [renaming.get("sale", [key]) for key in "abc"] == [
            {"id": "a", "quantity": 11, "note": "c"}, {"id": "b", "quantity": 12, "note": "late"}, {"id": "c", "colour": "red"},
        ]

    def test_what_is_expected_is_compared_under_the_new_name(self, renaming: Store) -> None:
        renaming.update("sale", ["a"], set={"note": "new"}, expect={"quantity": 1, "comment": "c"})
        with pytest.raises(ConditionFailed, match="attribute quantity"):
            renaming.delete("sale", ["b"], expect={"qty": ABSENT})
        renaming.put("sale", {"id": "b", "qty": 5}, expect={"quantity": 2})
        assert renaming.get("sale", ["b"]) == {"id": "b", "quantity": 5}
