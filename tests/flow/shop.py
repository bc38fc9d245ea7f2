"""A small shop for the flow tests, in a folder of its own."""

from pathlib import Path

PIPELINE = '''
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from caudal import Delivery, Digits, Pipeline, day, personal

shop = Pipeline("corner")


@shop.table(key=("product_id",))
class Product:
    product_id: str
    title: str
    stock: int
    consumable: bool


@shop.table(key=("customer_id",))
class Customer:
    customer_id: str
    email: Annotated[str | None, personal]


def paid_only(item):
    return item if item["status"] == "paid" else None


@shop.table(
    key=("customer_id", "line_id"), partition=day("sold_at"),
    deliveries=[Delivery("parquet", buffer_seconds=0.05), Delivery("csv", compression="gzip", buffer_seconds=0.05),
                Delivery("csv", name="paid_sale", transform=paid_only, buffer_seconds=0.05)],
)
class Sale:
    customer_id: str
    line_id: str
    product_id: str
    quantity: int
    amount: Annotated[Decimal, Digits(12, 2)]
    status: Literal["paid", "open"]
    sold_at: datetime


@shop.events(deliveries=[Delivery(buffer_seconds=0.05)])
class View:
    customer_id: str
    product_id: str
    seen_at: datetime


shop.recommender(
    "for_you",
    interactions="SELECT customer_id AS user, product_id AS item, sold_at AS time, quantity AS weight FROM sale",
    items="SELECT product_id AS item, stock > 0 AS available, consumable AS repeatable, title FROM product",
    options={"min_buyers": 1},
)
'''


def make_shop(folder: Path, port: int = 0) -> Path:
    """Write the pipeline and its configuration; returns the pipeline file."""
    path = folder / "pipeline.py"
    path.write_text(PIPELINE)
    (folder / "caudal.toml").write_text(f'[endpoint]\nurl = "http://127.0.0.1:{port}"\n[trainer]\nevery_seconds = 0\n')
    return path
