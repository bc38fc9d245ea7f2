"""A small shop to test trainers and endpoints on: products, sales, views, one recommender."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec

from caudal.config import Config
from caudal.contract import Digits, personal
from caudal.pipeline import Pipeline, Stages
from caudal.records import Item
from caudal.serve.shop import Shop
from caudal.tables import contracts, open_transforms

START = datetime(2026, 1, 1, tzinfo=UTC)


def small_shop() -> Pipeline:
    """The pipeline, as a user would write it."""
    pipeline = Pipeline("small")

    @pipeline.table(key=["product_id"])
    class Product:
        product_id: str
        title: str
        price: Annotated[Decimal, Digits(12, 2)]
        stock: int
        food: bool

    @pipeline.table(key=["order_id", "line"])
    class Sale:
        order_id: str
        line: int
        customer_id: Annotated[str, personal]
        product_id: str
        sold_at: datetime
        quantity: int

    @pipeline.events()
    class View:
        customer_id: Annotated[str, personal]
        product_id: str

    pipeline.recommender(
        "for_you",
        interactions="""
            SELECT customer_id AS user, product_id AS item, sold_at AS time, quantity AS weight
            FROM sale WHERE quantity > 0
        """,
        items="SELECT product_id AS item, stock > 0 AS available, food AS repeatable, title FROM product",
        model="itemknn",
        options={"min_buyers": 1},
    )
    return pipeline


def open_small_shop(folder: Path, pipeline: Pipeline | None = None) -> Stages:
    """The shop's stages, with their state in `folder`."""
    config = Config(folder=str(folder))
    config = msgspec.structs.replace(config, stream=msgspec.structs.replace(config.stream, shards=2))
    return (pipeline or small_shop()).open(config)


def shop_of(stages: Stages, stale_seconds: float = 60.0) -> Shop:
    """What an endpoint serves of it."""
    tables = stages.pipeline.tables
    return Shop(
        contracts(tables), open_transforms(tables, "inprocess:"), stages.pipeline.recommenders, stages.store,
        stages.stream, stages.catalog, stages.query, stages.models, stale_seconds,
    )


def product(name: str, *, stock: int = 5, food: bool = True) -> Item:
    """A product called `name`."""
    return {"product_id": name, "title": name.title(), "price": Decimal("9.50"), "stock": stock, "food": food}


def sale(customer: str, product: str, *, day: float = 0, line: int = 0, quantity: int = 1) -> Item:
    """A sale so many days after the shop's start, in an order of its own."""
    return {
        "order_id": f"{customer}/{product}/{day}", "line": line, "customer_id": customer, "product_id": product,
        "sold_at": START + timedelta(days=day), "quantity": quantity,
    }


def some_sales(customers: int = 30, days: int = 60) -> list[Item]:
    """Two kinds of customers, who buy from products a0…a7 and b0…b7, and in the end something new."""
    return [
        sale(
            f"c{customer}", f"{'ab'[customer % 2]}{(customer // 2 + (step % 3 if step < 11 else 3)) % 8}",
            day=step * days / 11 - customer / 100 + 1,
        )
        for customer in range(customers) for step in range(12)
    ]


def some_products() -> list[Item]:
    """Products a0…a7 and b0…b7."""
    return [product(f"{kind}{number}") for kind in "ab" for number in range(8)]


def deliver(stages: Stages, names: Iterable[str] = ("product", "sale")) -> None:
    """Bring everything that the streams hold to the lake."""
    for name in names:
        writer = stages.writer(name)
        writer.flush()
        writer.close()


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until `true()` is; AssertionError if it is not within so many seconds."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.001)
