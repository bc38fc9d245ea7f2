"""A shop whose tables are delivered as iceberg, and how its tests look at them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pyiceberg.catalog.sql import SqlCatalog

from caudal import Delivery, Digits, Pipeline, day, identity


def make_pipeline(more=None, keyed=True):
    """The shop; `more` are columns that sales gain."""
    shop = Pipeline("shop")

    class Sale:
        customer: str
        line: int
        amount: Annotated[Decimal, Digits(38, 10)] | None
        note: str | None
        raw: bytes | None
        tags: list | None
        country: str
        sold_at: datetime

    Sale.__annotations__ |= more or {}
    iceberg = [Delivery("iceberg")]
    shop.table(key=("customer", "line"), partition=(day("sold_at"), identity("country")), deliveries=iceberg)(Sale)

    @shop.events(deliveries=iceberg)
    class Click:
        page: str

    @shop.table(key=("id",))
    class Plain:
        id: str

    return shop


def sale(customer="ann", line=1, sold=1, **more):
    """A sale on a day of January."""
    row = {"customer": customer, "line": line, "amount": Decimal("1.5"), "note": "", "raw": b"\x00\xff", "tags": ["a", None],
           "country": "é/%2F x", "sold_at": datetime(2026, 1, sold, 23, 59, 59, 999999, tzinfo=UTC)}
    return {**row, **more}


def deliver(stages):
    """Everything written so far reaches the lake."""
    for name in ("sale", "click"):
        writer = stages.writer(name)
        writer.flush()
        writer.close()


class Reader:
    """PyIceberg, as anybody would use it."""

    def __init__(self, config):
        self.catalog = SqlCatalog("caudal", uri=f"sqlite:///{config.folder}/iceberg.db")

    def table(self, name):
        return self.catalog.load_table(f"shop.{name}")

    def rows(self, name):
        """Rows as dicts, in the order of their columns' text."""
        return sorted(self.table(name).scan().to_arrow().to_pylist(), key=repr)


def rows(stages, name):
    """What caudal's own SQL shows, in the same order."""
    return sorted(stages.query.execute(f"SELECT * FROM {name}").to_pylist(), key=repr)


SHOWN = ("sale", "sale_history", "click")


def publish(stages, publisher):
    """Deliver, publish, and compare every Iceberg table with caudal's SQL."""
    deliver(stages)
    found = publisher.publish("sale") + publisher.publish("click")
    reader = Reader(stages.config)
    try:
        for name in SHOWN:
            assert reader.rows(name) == rows(stages, name)
    finally:
        reader.catalog.close()
    return {one.table: one for one in found}
