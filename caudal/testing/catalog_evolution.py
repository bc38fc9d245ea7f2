"""How a table of a catalog may change while it keeps its rows: what every catalog must do."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from caudal.contract import Column, Contract
from caudal.errors import ContractError, Fenced
from caudal.lake.catalog import Catalog, LakeTable, open_catalog
from caudal.records import Commit

ID, QTY, NOTE = Column("id", "string"), Column("qty", "int"), Column("note", "string", nullable=True)
QUANTITY = replace(QTY, name="quantity", old_names=("qty",))


def a_table(*columns: Column) -> LakeTable:
    """A table of these columns, keyed by the first."""
    return LakeTable("sale", Contract("sale", columns, (columns[0].name,)), "sale")


def columns_of(catalog: Catalog) -> list[str]:
    """Names that the table shows."""
    return [column.name for column in catalog.tables()["sale"].contract.columns]


class CatalogEvolution:
    """Part of `CatalogSuite`."""

    def url(self, folder: Path) -> str:
        """Where the catalog is."""
        raise AssertionError("CatalogSuite says it")

    @pytest.fixture
    def sales(self, tmp_path: Path) -> Iterator[Catalog]:
        """A catalog with a table of sales."""
        catalog = open_catalog(self.url(tmp_path), "evolving")
        catalog.declare(a_table(ID, QTY, NOTE))
        yield catalog
        catalog.close()

    @pytest.mark.parametrize(("before", "after"), [
        (QTY, replace(QTY, nullable=True)),
        (QTY, Column("qty", "decimal", precision=19)),
        (QTY, Column("qty", "decimal", precision=38, scale=6)),
        (Column("qty", "decimal", precision=12, scale=2), Column("qty", "decimal", precision=14, scale=4)),
        (Column("qty", "string", values=("a",)), Column("qty", "string", values=("b", "a"))),
        (Column("qty", "string", values=("a",)), Column("qty", "string")),
    ], ids=str)
    def test_a_type_that_holds_every_earlier_value_applies_at_once(self, tmp_path: Path, before: Column, after: Column) -> None:
        catalog = open_catalog(self.url(tmp_path / "widening"), "shop")
        catalog.declare(a_table(ID, before))
        catalog.declare(a_table(ID, after))
        assert catalog.tables() == {"sale": a_table(ID, after)}
        with pytest.raises(ContractError, match="column qty is"):
            catalog.declare(a_table(ID, before))
        catalog.close()

    @pytest.mark.parametrize(("before", "after"), [
        (QTY, Column("qty", "float")),
        (QTY, Column("qty", "decimal", precision=20, scale=2)),
        (QTY, Column("qty", "string")),
        (Column("qty", "string"), Column("qty", "json")),
        (Column("qty", "string"), Column("qty", "string", values=("a",))),
        (Column("qty", "string", values=("a", "b")), Column("qty", "string", values=("a", "c"))),
        (Column("qty", "date"), Column("qty", "timestamp")),
        (Column("qty", "decimal", precision=12, scale=2), Column("qty", "decimal", precision=12, scale=3)),
        (Column("qty", "decimal", precision=12, scale=2), Column("qty", "decimal", precision=38, scale=1)),
        (Column("qty", "decimal", precision=12, scale=2), Column("qty", "int")),
        (Column("qty", "int", nullable=True), QTY),
    ], ids=str)
    def test_a_type_that_may_not_hold_one_is_refused_however_it_is_asked(
        self, tmp_path: Path, before: Column, after: Column
    ) -> None:
        catalog = open_catalog(self.url(tmp_path / "narrowing"), "shop")
        catalog.declare(a_table(ID, before))
        for change in (catalog.declare, catalog.evolve):
            with pytest.raises(ContractError, match=r"table sale: column qty is .*, the pipeline says "):
                change(a_table(ID, after))
        assert catalog.tables() == {"sale": a_table(ID, before)}
        catalog.close()

    def test_a_rename_waits_for_a_deliberate_step_and_remembers_what_files_call_it(self, sales: Catalog) -> None:
        with pytest.raises(ContractError, match="column quantity is renamed from qty, and that is not applied yet") as refused:
            sales.declare(a_table(ID, QUANTITY, NOTE))
        assert "caudal apply" in refused.value.hint
        assert columns_of(sales) == ["id", "qty", "note"]
        sales.evolve(a_table(ID, NOTE, QUANTITY))
        assert columns_of(sales) == ["id", "quantity", "note"]
        sales.declare(a_table(ID, QUANTITY, NOTE))
        assert sales.snapshot("sale").table.eras == ((("id", "id"), ("qty", "quantity"), ("note", "note")),)
        with pytest.raises(ContractError, match="column qty is called quantity by now"):
            sales.declare(a_table(ID, QTY, NOTE))
        sales.evolve(a_table(ID, replace(QTY, old_names=("quantity",)), NOTE))
        assert columns_of(sales) == ["id", "qty", "note"]

    def test_a_column_renamed_twice_is_found_under_each_of_its_names(self, sales: Catalog) -> None:
        sales.evolve(a_table(ID, QUANTITY, NOTE))
        sales.evolve(a_table(ID, replace(QTY, name="units", old_names=("quantity",)), NOTE))
        assert [dict(era) for era in sales.tables()["sale"].eras] == [
            {"id": "id", "qty": "units", "note": "note"}, {"id": "id", "quantity": "units", "note": "note"},
        ]

    def test_a_name_may_be_used_again_once_it_cannot_be_mistaken(self, sales: Catalog) -> None:
        sales.evolve(a_table(ID, replace(QUANTITY), NOTE))
        sales.declare(a_table(ID, replace(QUANTITY, old_names=()), NOTE, replace(QTY, nullable=True)))
        assert columns_of(sales) == ["id", "quantity", "note", "qty"]

    def test_names_that_change_places_step_by_step_are_refused_where_files_would_look_alike(self, sales: Catalog) -> None:
        """Swapping qty and note through a third name ends in files with the names of the first ones."""
        text = replace(NOTE, name="qty", old_names=("note",))
        sales.evolve(a_table(ID, QUANTITY, NOTE))
        sales.evolve(a_table(ID, replace(QUANTITY, old_names=()), text))
        with pytest.raises(ContractError, match="column note: in earlier files that name means qty"):
            sales.evolve(a_table(ID, replace(text, old_names=()), replace(QTY, name="note", old_names=("quantity",))))
        assert columns_of(sales) == ["id", "quantity", "qty"]

    def test_a_rename_to_a_column_that_is_there_is_refused(self, sales: Catalog) -> None:
        with pytest.raises(ContractError, match="column qty is renamed to note, which is a column already"):
            sales.evolve(a_table(ID, replace(NOTE, old_names=("qty",))))

    def test_a_dropped_column_is_hidden_and_comes_back_when_it_is_declared_again(self, sales: Catalog) -> None:
        with pytest.raises(ContractError, match="column note is gone") as refused:
            sales.evolve(a_table(ID, QTY))
        assert "caudal apply --drop sale.note" in refused.value.hint
        sales.evolve(a_table(ID, QTY), drop=["note"])
        assert (columns_of(sales), sales.tables()["sale"].hidden) == (["id", "qty"], (NOTE,))
        sales.declare(a_table(ID, QTY))
        with pytest.raises(ContractError, match="column note is string, the pipeline says bigint"):
            sales.declare(a_table(ID, QTY, replace(NOTE, kind="int")))
        sales.declare(a_table(ID, QTY, NOTE))
        assert (columns_of(sales), sales.tables()["sale"].hidden) == (["id", "qty", "note"], ())

    def test_a_dropped_column_comes_back_only_as_one_that_may_be_null(self, sales: Catalog) -> None:
        sales.evolve(a_table(ID, NOTE), drop=["qty"])
        with pytest.raises(ContractError, match="column qty is bigint, the pipeline says bigint not null"):
            sales.declare(a_table(ID, NOTE, QTY))
        sales.declare(a_table(ID, NOTE, replace(QTY, nullable=True)))

    @pytest.mark.parametrize("name", ["qty", "missing"])
    def test_only_a_column_that_is_no_longer_declared_can_be_dropped(self, sales: Catalog, name: str) -> None:
        with pytest.raises(ContractError, match=f"column {name} is to be dropped"):
            sales.evolve(a_table(ID, QTY, NOTE), drop=[name])

    def test_one_refusal_stops_all_changes(self, sales: Catalog) -> None:
        with pytest.raises(ContractError, match="2 more: see `caudal plan`"):
            sales.evolve(a_table(ID, replace(QUANTITY, kind="float"), Column("new", "int")))
        assert sales.tables() == {"sale": a_table(ID, QTY, NOTE)}

    def test_a_change_ends_the_lease_and_a_writer_of_the_older_contract_cannot_commit(self, sales: Catalog) -> None:
        old = sales.lease("sale", "me", 600)
        sales.declare(a_table(ID, NOTE, QTY))
        assert sales.lease("sale", "me", 600) == old
        sales.declare(a_table(ID, QTY, NOTE, Column("coupon", "string", nullable=True)))
        with pytest.raises(Fenced):
            sales.commit("sale", Commit(old.epoch, {}, {0: 1}, [], [], 1, 0, 1, 0, 0))
        new = sales.lease("sale", "you", 600)
        assert new.epoch > old.epoch
        sales.commit("sale", Commit(new.epoch, {}, {0: 1}, [], [], 1, 0, 1, 0, 0))

    def test_gl06_a_column_just_added_does_not_vanish_when_an_older_pipeline_declares_its_own(self, sales: Catalog) -> None:
        sales.declare(a_table(ID, QTY, NOTE, Column("coupon", "string", nullable=True)))
        with pytest.raises(ContractError, match="column coupon is gone"):
            sales.declare(a_table(ID, QTY, NOTE))
        assert columns_of(sales) == ["id", "qty", "note", "coupon"]
