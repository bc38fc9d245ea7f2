"""The shop that is killed: two keyed tables, one of them delivered twice, and events."""

from pathlib import Path

PIPELINE = '''
from datetime import datetime

from caudal import Delivery, Pipeline, day

shop = Pipeline("faulty")


@shop.table(key=("sale_id",), partition=day("sold_at"),
            deliveries=[Delivery("parquet", buffer_seconds=0.02), Delivery("csv", compression="zstd", buffer_seconds=0.02)])
class Sale:
    sale_id: str
    quantity: int
    sold_at: datetime


@shop.table(key=("product_id",), deliveries=[Delivery(buffer_seconds=0.02)])
class Product:
    product_id: str
    stock: int


@shop.events(deliveries=[Delivery(buffer_seconds=0.02)])
class View:
    customer_id: str
    n: int
'''

TABLES = ("sale", "sale_csv", "product", "view")


def make_shop(folder: Path, port: int) -> Path:
    """Write the pipeline and its configuration; returns the pipeline file."""
    path = folder / "pipeline.py"
    path.write_text(PIPELINE)
    (folder / "caudal.toml").write_text(f'[endpoint]\nurl = "http://127.0.0.1:{port}"\n')
    return path
