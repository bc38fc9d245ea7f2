"""A grocer: households, products, and every line of every receipt."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from caudal import Delivery, Digits, Pipeline, month, personal

shop = Pipeline("grocery")


@shop.table(key=("product_id",))
class Product:
    product_id: str
    department: str | None
    brand: str | None
    category: str | None
    kind: str | None
    size: str | None
    listed: bool


@shop.table(key=("household_id",))
class Household:
    household_id: str
    age: Annotated[str | None, personal]
    income: Annotated[str | None, personal]
    home_ownership: Annotated[str | None, personal]
    household_size: Annotated[str | None, personal]
    kids: Annotated[str | None, personal]


@shop.table(
    key=("basket_id", "product_id"),
    partition=month("sold_at"),
    deliveries=[Delivery("parquet"), Delivery("csv", compression="zstd")],
)
class Sale:
    basket_id: str
    product_id: str
    household_id: str
    store_id: str
    quantity: int
    amount: Annotated[Decimal, Digits(12, 2)]
    discount: Annotated[Decimal, Digits(12, 2)]
    sold_at: datetime


@shop.events(partition=month("seen_at"))
class View:
    household_id: str
    product_id: str
    seen_at: datetime


shop.recommender(
    "basket",
    interactions="SELECT household_id AS user, product_id AS item, sold_at AS time FROM sale WHERE quantity > 0",
    items="""
        SELECT product_id AS item, listed AS available, department NOT IN ('MISCELLANEOUS', 'FUEL', 'COUPON') AS repeatable,
               lower(coalesce(kind, category, department)) AS title
        FROM product
    """,
    model="ease",
    options={"min_buyers": 25, "max_items": 6000},
)
