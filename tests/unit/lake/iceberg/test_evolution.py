"""Iceberg's schema follows the contract: ids live on, files written under an older name or type are read."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import apsw
import msgspec
import pytest
from iceberg_shop import Reader, sale

from caudal import Delivery, Digits, Pipeline
from caudal.contract import Column
from caudal.errors import ContractError
from caudal.lake.iceberg import open_publisher


def publish_some(stages, publisher, **more):
    stages.store.put("sale", sale(**more))
    writer = stages.writer("sale")
    writer.flush()
    writer.close()
    return publisher.publish("sale")


def redeclare(stages, old, new):
    """Put another column in an old one's place, as an evolved contract of the catalog does."""
    table = stages.catalog.tables()["sale"]
    columns = tuple(new if column.name == old else column for column in table.contract.columns)
    changed = replace(table, contract=replace(table.contract, columns=columns))
    with apsw.Connection(f"{stages.config.folder}/catalog.db") as db:
        db.execute("UPDATE lake_table SET definition = ? WHERE name = 'sale'", (msgspec.json.encode(changed).decode(),))


@pytest.mark.parametrize("name", ["sale", "sale_history"])
def test_a_renamed_column_keeps_its_id_and_its_values(stages, publisher, reader, name):
    publish_some(stages, publisher, note="before")
    before = reader.table(name).schema().find_field("note").field_id
    redeclare(stages, "note", Column("remark", "string", True, old_names=("note",)))
    publisher.publish("sale")
    schema = reader.table(name).schema()
    assert schema.find_field("remark").field_id == before and "note" not in schema.column_names
    assert [row["remark"] for row in reader.rows(name)] == ["before"]


@pytest.mark.parametrize("name", ["sale", "sale_history"])
def test_a_column_that_may_now_be_null_is_the_same_column(stages, publisher, reader, name):
    publish_some(stages, publisher)
    redeclare(stages, "country", Column("country", "string", True))
    publisher.publish("sale")
    field = reader.table(name).schema().find_field("country")
    assert (field.field_id, field.required) == (7, False)


def price_pipeline(digits):
    shop = Pipeline("shop")

    @shop.table(key=("id",), deliveries=[Delivery("iceberg")])
    class Price:
        id: str
        amount: Annotated[Decimal, Digits(digits, 2)]

    return shop


def test_a_column_with_more_digits_reads_earlier_files_exactly(config):
    """Of the lake's own, in the history, and of the table's, in the current state; and written anew as a whole."""
    for digits, id, amount in ((9, "a", "1234567.89"), (12, "b", "1234567890.12"), (38, "c", "123456789012345678901234567890123456.78")):
        if digits > 9:
            with apsw.Connection(f"{config.folder}/catalog.db") as db:
                db.execute("UPDATE lake_table SET definition = json_set(definition, '$.contract.columns[1].precision', ?)", (digits,))
        with price_pipeline(digits).open(config) as stages:
            stages.store.put("price", {"id": id, "amount": Decimal(amount)})
            writer = stages.writer("price")
            writer.flush()
            writer.close()
            publisher = open_publisher(config, "shop", stages.catalog, stages.files)
            publisher.publish("price")
            publisher.close()
    reader = Reader(config)
    for name in ("price", "price_history"):
        assert {row["id"]: str(row["amount"]) for row in reader.rows(name)} == {
            "a": "1234567.89", "b": "1234567890.12", "c": "123456789012345678901234567890123456.78",
        }
        assert str(reader.table(name).schema().find_field("amount").field_type) == "decimal(38, 2)"
    reader.catalog.close()


@pytest.mark.parametrize("name", ["sale", "sale_history"])
def test_a_column_that_was_hidden_comes_back_with_its_values(stages, publisher, reader, name):
    publish_some(stages, publisher, note="kept")
    before = stages.catalog.tables()["sale"].contract
    redeclare(stages, "note", Column("other", "string", True))
    publisher.publish("sale")
    assert "note" not in reader.table(name).schema().column_names
    redeclare(stages, "other", before.column("note"))
    publisher.publish("sale")
    assert [row["note"] for row in reader.rows(name)] == ["kept"]


def test_what_iceberg_cannot_change_is_refused_with_a_mend(stages, publisher, reader):
    publish_some(stages, publisher)
    redeclare(stages, "line", Column("line", "string"))
    with pytest.raises(ContractError, match=r"^iceberg table sale: .*line.*long.*string") as error:
        publisher.publish("sale")
    assert "another name" in error.value.hint
    assert reader.rows("sale")[0]["sold_at"].astimezone(UTC) == datetime(2026, 1, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert reader.rows("sale")[0]["amount"] == Decimal("1.5")
