"""The shop that is killed: items with updates and deletes, events, and a table that is imported."""

from caudal import Delivery, Pipeline

shop = Pipeline("fire")


@shop.table(key=["sale_id"], deliveries=[
    Delivery(buffer_seconds=0.02), Delivery("csv", compression="gzip", buffer_seconds=0.05, buffer_bytes=20_000),
])
class Sale:
    sale_id: str
    qty: int


@shop.events(deliveries=[Delivery(buffer_seconds=0.02)])
class View:
    sale_id: str
    number: int


@shop.table(key=["product_id"], deliveries=[Delivery(buffer_seconds=0.02)])
class Product:
    product_id: str
    price: int
