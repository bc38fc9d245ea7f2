"""The shop whose publisher is killed."""

from caudal import Delivery, Pipeline

shop = Pipeline("ice")


@shop.table(key=["sale_id"], deliveries=[Delivery("iceberg", buffer_seconds=0.02)])
class Sale:
    sale_id: str
    qty: int
