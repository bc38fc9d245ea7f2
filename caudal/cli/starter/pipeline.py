"""A corner shop: what it keeps, what becomes of it, and what it recommends.

Nothing here names a back end: caudal.toml does. Change what you like, then run `caudal tables`.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from caudal import Delivery, Digits, Pipeline, month, personal

shop = Pipeline("corner_shop")


# A table of items: each write of one is a change, and SQL sees `product` (now) and `product_history` (every change).
# An item may carry attributes that are not declared here; they stay in the store.
@shop.table(key=("product_id",))
class Product:
    product_id: str
    title: str
    stock: int


# Two deliveries: Parquet for SQL, as `sale`, and CSV for other tools, as `sale_csv`. Both are partitioned by month.
@shop.table(
    key=("customer_id", "line_id"),
    partition=month("sold_at"),
    deliveries=[Delivery("parquet"), Delivery("csv", compression="gzip")],
)
class Sale:
    customer_id: str
    line_id: str
    product_id: str
    quantity: int
    amount: Annotated[Decimal, Digits(12, 2)]  # exact: never a float
    note: Annotated[str | None, personal]  # about a person: shown in no log, error or summary
    sold_at: datetime  # UTC, microseconds


# Events are only ever added.
@shop.events(partition=month("seen_at"))
class View:
    customer_id: str
    product_id: str
    seen_at: datetime


# Two queries make a recommender: who took what and when, and what there is to recommend.
shop.recommender(
    "for_you",
    interactions="SELECT customer_id AS user, product_id AS item, sold_at AS time, quantity AS weight FROM sale",
    items="SELECT product_id AS item, stock > 0 AS available, title FROM product",
)
