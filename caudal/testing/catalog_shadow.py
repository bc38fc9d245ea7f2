"""What a catalog must do that can put a table made anew in the place of another."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from caudal.contract import Column, Contract
from caudal.errors import Conflict, Fenced, NotFound
from caudal.lake.catalog import Catalog, LakeTable, Replay, SupportsShadows, open_catalog, shadow_name
from caudal.records import Commit, DataFile, Positions

SALE = LakeTable("sale", Contract("sale", (Column("id", "string"), Column("qty", "int")), ("id",)), "sale")
NAME = shadow_name("sale")


def _file(name: str, rows: int) -> DataFile:
    return DataFile(f"files/{name}", (), rows, 10 * rows, "ab" * 16)


def _commit(epoch: int, since: int, until: int, name: str, quarantined: int = 0, dropped: int = 0) -> Commit:
    delivered = until - since - quarantined - dropped
    return Commit(
        epoch, {0: since}, {0: until}, [_file(name, delivered)], [_file(f"q-{name}", quarantined)] if quarantined else [],
        until - since, delivered, dropped, quarantined, delivered, until, {0: dropped} if dropped else {},
    )


def _paths(catalog: Catalog, table: str = "sale", version: int | None = None) -> list[str]:
    return [file.path.removeprefix("files/") for file in catalog.snapshot(table, version).files]


class CatalogShadow:
    """A part of `CatalogSuite`, for catalogs that can; a catalog that cannot is not asked."""

    def url(self, folder: Path) -> str:
        """The URL of a catalog."""
        raise AssertionError

    @pytest.fixture
    def sale(self, tmp_path: Path) -> Iterator[Catalog]:
        """A table with two commits, of 10 records each."""
        catalog = open_catalog(self.url(tmp_path), "shop")
        if not isinstance(catalog, SupportsShadows):
            catalog.close()
            pytest.skip("no table can be made anew beside itself")
        catalog.declare(SALE)
        epoch, _ = catalog.lease("sale", "live", 60)
        catalog.commit("sale", _commit(epoch, 0, 10, "a", quarantined=2))
        catalog.commit("sale", _commit(epoch, 10, 20, "b", dropped=3))
        yield catalog
        catalog.close()

    def test_a_shadow_is_a_table_of_its_own_until_it_is_swapped(self, sale: Catalog) -> None:
        assert isinstance(sale, SupportsShadows)
        assert sale.shadows() == {}
        begun = sale.begin_shadow("sale", SALE, "all")
        assert (begun.table, begun.name, begun.plan) == ("sale", NAME, "all")
        assert sale.begin_shadow("sale", replace(SALE, format="csv"), "other") == begun
        assert sale.shadows() == {"sale": begun}
        assert sale.tables() == {"sale": SALE, NAME: replace(SALE, name=NAME)}
        epoch, positions = sale.lease(NAME, "maker", 60)
        assert positions == {}
        sale.commit(NAME, _commit(epoch, 0, 20, "new", quarantined=1, dropped=1))
        assert _paths(sale) == ["a", "b"]
        assert _paths(sale, NAME) == ["new"]

    def test_a_swap_makes_all_of_the_shadow_the_tables(self, sale: Catalog) -> None:
        assert isinstance(sale, SupportsShadows)
        sale.replay("sale", [Replay(0, 1, "discarded")], [], 0, [_file("audit", 1)])
        self._shadow(sale, 25)
        made = sale.swap("sale")
        snapshot = sale.snapshot("sale")
        assert (snapshot.version, snapshot.positions, _paths(sale), snapshot.newest) == (made, {0: 25}, ["new"], 25)
        assert [file.path for file in sale.quarantine("sale")] == ["files/q-new"]
        assert sale.replayed("sale") == {(0, 3): "dropped"}
        assert [file.path for file in sale.audit("sale")] == ["files/audit"]
        totals = sale.totals("sale")
        assert totals[:5] == (25, 22, 1, 2, 22)
        assert {shard: n for shard, n in totals.dropped_by_shard.items() if n} == {0: 1}
        assert (sale.shadows(), list(sale.tables())) == ({}, ["sale"])
        assert sale.tables()["sale"].rebuilt == made
        with pytest.raises(NotFound):
            sale.snapshot(NAME)
        with pytest.raises(NotFound):
            sale.swap("sale")

    def test_versions_of_before_a_swap_stay_until_they_are_expired(self, sale: Catalog) -> None:
        assert isinstance(sale, SupportsShadows)
        self._shadow(sale, 20)
        made = sale.swap("sale")
        assert _paths(sale, version=2) == ["a", "b"]
        assert sale.snapshot("sale", 2).positions == {0: 20}
        with pytest.raises(NotFound):  # the files of now are none that came on top of those
            sale.changed_files("sale", 2)
        assert [one.file.path for one in sale.changed_files("sale", made)] == []
        gone = sale.expire("sale", 1, 1 << 60)
        assert {file.path for file in gone.files} == {"files/a", "files/b", "files/q-a"}
        assert {file.path for file in sale.named("sale")} == {"files/new", "files/q-new"}
        assert sale.totals("sale")[:5] == (20, 17, 1, 2, 17)

    def test_versions_that_the_new_columns_cannot_show_are_refused(self, sale: Catalog) -> None:
        assert isinstance(sale, SupportsShadows)
        columns = (Column("id", "string"), Column("qty", "string"))
        other = replace(SALE, contract=replace(SALE.contract, columns=columns), format="csv")
        self._shadow(sale, 20, other)
        made = sale.swap("sale")
        assert sale.tables()["sale"] == replace(other, rebuilt=made)
        with pytest.raises(NotFound, match="expired"):
            sale.snapshot("sale", made - 1)
        assert sale.versions("sale")[:2] == (made, made)
        sale.declare(other)
        assert sale.tables()["sale"].rebuilt == made
        assert {file.path for file in sale.expire("sale", 10, 0).files} == {"files/a", "files/b", "files/q-a"}

    def test_a_shadow_that_is_behind_its_table_is_not_swapped(self, sale: Catalog) -> None:
        assert isinstance(sale, SupportsShadows)
        self._shadow(sale, 19)
        with pytest.raises(Conflict):
            sale.swap("sale")
        assert _paths(sale) == ["a", "b"]
        assert list(sale.shadows()) == ["sale"]

    def test_a_swap_ends_both_leases(self, sale: Catalog) -> None:
        assert isinstance(sale, SupportsShadows)
        live, _ = sale.lease("sale", "live", 60)
        shadow = self._shadow(sale, 20)
        sale.swap("sale")
        with pytest.raises(Fenced):
            sale.commit("sale", _commit(live, 20, 30, "late"))
        with pytest.raises(NotFound):
            sale.commit(NAME, _commit(shadow, 20, 30, "late"))
        epoch, positions = sale.lease("sale", "next", 60)
        assert (epoch > live, positions) == (True, {0: 20})
        sale.commit("sale", _commit(epoch, 20, 30, "on"))
        assert _paths(sale) == ["new", "on"]

    def test_a_shadow_that_is_given_up_leaves_nothing(self, sale: Catalog) -> None:
        assert isinstance(sale, SupportsShadows)
        self._shadow(sale, 20)
        assert {file.path for file in sale.drop_shadow("sale")} == {"files/new", "files/q-new"}
        assert (sale.shadows(), list(sale.tables())) == ({}, ["sale"])
        with pytest.raises(NotFound):
            sale.drop_shadow("sale")
        assert _paths(sale) == ["a", "b"]
        sale.begin_shadow("sale", SALE, "again")
        assert sale.lease(NAME, "maker", 60).positions == {}
        assert (sale.snapshot(NAME).version, sale.quarantine(NAME), sale.replayed(NAME)) == (0, [], {})

    def test_a_table_that_is_not_there_has_no_shadow(self, sale: Catalog) -> None:
        assert isinstance(sale, SupportsShadows)
        with pytest.raises(NotFound):
            sale.begin_shadow("no", SALE, "")
        assert sale.shadows() == {}

    def test_every_process_sees_the_swap(self, sale: Catalog, tmp_path: Path) -> None:
        assert isinstance(sale, SupportsShadows)
        self._shadow(sale, 20)
        other = open_catalog(self.url(tmp_path), "shop")
        assert _paths(other, NAME) == ["new"]
        sale.swap("sale")
        with pytest.raises(NotFound):
            other.snapshot(NAME)
        with pytest.raises(NotFound):
            other.lease(NAME, "late", 60)
        assert _paths(other) == ["new"]
        other.close()

    @staticmethod
    def _shadow(catalog: Catalog, until: int, made: LakeTable = SALE) -> int:
        """Make a shadow of the records up to a position; the epoch of its writer."""
        assert isinstance(catalog, SupportsShadows)
        catalog.begin_shadow("sale", made, "")
        epoch, positions = catalog.lease(NAME, "maker", 60)
        catalog.commit(NAME, _commit(epoch, 0, until, "new", quarantined=2, dropped=1))
        catalog.replay(NAME, [Replay(0, 3, "dropped")], [], 0)
        assert positions == Positions()
        return epoch
