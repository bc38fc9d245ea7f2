"""What came and went between two versions: a part of the suite of catalogs."""

import pytest

from caudal.errors import NotFound
from caudal.lake.catalog import Catalog, Replay
from caudal.records import Commit, DataFile, Positions


def _commit(epoch: int, since: Positions, until: Positions, *names: str) -> Commit:
    files = [DataFile(f"lake/{name}.parquet", (("day", "2026-01-02"),), 5, 100, "ab" * 16) for name in names]
    bad = [DataFile(f"bad/{name}.parquet", (), 5, 100, "ab" * 16) for name in names[:1]]
    return Commit(epoch, since, until, files, bad, records=10, delivered=5, dropped=0, quarantined=5, rows=5)


class ChangedFilesSuite:
    """Mixed into `CatalogSuite`, whose fixture is a catalog with the table `orders`."""

    def test_changed_files_are_those_that_came_since_a_version(self, catalog: Catalog) -> None:
        epoch = catalog.lease("orders", "me", 60).epoch
        catalog.commit("orders", _commit(epoch, {}, {0: 10}, "a", "b"))
        catalog.commit("orders", _commit(epoch, {0: 10}, {0: 20}))
        catalog.commit("orders", _commit(epoch, {0: 20}, {0: 30}, "c"))
        catalog.replay("orders", [Replay(0, 1, "delivered")], [DataFile("lake/d.parquet", (), 1, 9, "cd" * 16)], 1)
        for since, names in ((0, "abcd"), (1, "cd"), (2, "cd"), (3, "d"), (4, "")):
            changed = catalog.changed_files("orders", since)
            assert [one.file.path for one in changed] == [f"lake/{name}.parquet" for name in names]
            assert all(one.added > since and one.removed is None for one in changed)
        assert changed == [] and catalog.changed_files("orders", 0)[0].file == catalog.snapshot("orders", 1).files[0]

    def test_changes_since_a_version_that_is_not_kept_are_not_found(self, catalog: Catalog) -> None:
        assert catalog.changed_files("orders", 0) == []
        with pytest.raises(NotFound, match="orders has no version 7"):
            catalog.changed_files("orders", 7)
