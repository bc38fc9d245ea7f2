"""The shop of the matrix: all that `pipeline.py` has, Iceberg, events of which some do not fit, and a recommender."""

from datetime import datetime

from pipeline import Product, View

from caudal import Delivery, Pipeline

shop = Pipeline("fire")


@shop.table(key=["sale_id"], deliveries=[
    Delivery(buffer_seconds=0.02), Delivery("csv", compression="gzip", buffer_seconds=0.05, buffer_bytes=20_000),
    Delivery("iceberg", buffer_seconds=0.02),
])
class Sale:
    sale_id: str
    qty: int


shop.events(deliveries=[Delivery(buffer_seconds=0.02)])(View)
shop.table(key=["product_id"], deliveries=[Delivery(buffer_seconds=0.02)])(Product)


@shop.events(deliveries=[Delivery(buffer_seconds=0.02)])
class Note:
    note_id: str
    number: int


@shop.events(deliveries=[Delivery(buffer_seconds=0.02)])
class Click:
    user_id: str
    item_id: str
    clicked_at: datetime


shop.recommender(
    "clicked", interactions="SELECT user_id AS user, item_id AS item, clicked_at AS time FROM click", model="popular",
)
