"""What publishing to Iceberg costs: of a table of a million keys, and after many publications; PyIceberg's own beside it."""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from report import Report

from caudal.config import Config
from caudal.contract import TIMESTAMP, Partition, read_contract
from caudal.ingest.writer.objects import put_rows
from caudal.lake.catalog import LakeTable, open_catalog
from caudal.lake.files import open_files
from caudal.lake.iceberg import open_publisher
from caudal.records import Commit

KEYS = 1_000_000
CHANGED = 1_000
TIMES = 300
AT = 30
"""Publications at either end of `TIMES` that a median is taken of."""
DAYS = 100


class Sale:
    order_id: int
    quantity: int
    note: str
    day: int


class Lake:
    """A lake table, written as the writer does, and its publisher."""

    def __init__(self, folder: str, partition: Partition | None, key: tuple[str, ...] = ("order_id",)) -> None:
        self.files, self.catalog = open_files(f"file:{folder}"), open_catalog(f"sqlite:{folder}/catalog.db", "shop")
        contract = read_contract(Sale, name="sale", key=key, partition=partition)
        self.table, self.position = LakeTable("sale", contract, "sale", "iceberg"), 0
        self.catalog.declare(self.table)
        self.epoch = self.catalog.lease("sale", "me", 36000).epoch
        self.publisher = open_publisher(Config(folder=folder), "shop", self.catalog, self.files)

    def write(self, ids: np.ndarray) -> pa.Table:
        """Commit a change of each of these items."""
        n = len(ids)
        rows = pa.table({
            "order_id": ids, "quantity": ids % 7, "note": [f"note of {id} at {self.position}" for id in ids],
            "day": ids * DAYS // KEYS,
            "_op": ["put"] * n, "_reason": pa.nulls(n, pa.string()), "_event_time": pa.array([0] * n, TIMESTAMP),
            "_event_id": [f"e{n}" for n in range(n)], "_shard": pa.array([0] * n, pa.int32()),
            "_position": np.arange(self.position, self.position + n), "_rescued": pa.nulls(n, pa.string()),
        }, schema=self.table.contract.row_schema)
        made = put_rows(self.files, "shop", self.table, self.epoch, rows)
        since, self.position = {0: self.position}, self.position + n
        self.catalog.commit("sale", Commit(self.epoch, since, {0: self.position}, made, [], n, n, 0, 0, n))
        return rows

    def publish(self) -> float:
        """Milliseconds that it took."""
        started = time.perf_counter()
        self.publisher.publish("sale")
        return 1000 * (time.perf_counter() - started)


def large(report: Report, name: str, partition: Partition | None, ids: np.ndarray) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        lake = Lake(folder, partition)
        lake.write(np.arange(KEYS))
        report.add(f"{name}: first of {KEYS} keys ms", "caudal", lake.publish(), "ms")
        took = []
        for _ in range(5):
            lake.write(ids)
            took.append(lake.publish())
        report.add(f"{name}: {len(ids)} keys changed ms", "caudal", statistics.median(took), "ms")


def many(report: Report) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        lake, took = Lake(folder, None, key=()), []
        for n in range(TIMES):
            rows = lake.write(np.arange(CHANGED))
            took.append(lake.publish())
            if n % 10 == 0:
                lake.publisher.expire("sale")
        report.add(f"events: publications 1 to {AT} median ms", "caudal", statistics.median(took[:AT]), "ms")
        report.add(f"events: publications to {TIMES} median ms", "caudal", statistics.median(took[-AT:]), "ms")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        catalog, took = SqlCatalog("peer", uri=f"sqlite:///{folder}/i.db", warehouse=f"file://{folder}"), []
        catalog.create_namespace("shop")
        table = catalog.create_table("shop.sale", rows.schema)
        for _ in range(TIMES):
            started = time.perf_counter()
            table.append(rows)
            took.append(1000 * (time.perf_counter() - started))
        report.add(f"events: publications 1 to {AT} median ms", "pyiceberg append", statistics.median(took[:AT]), "ms")
        report.add(f"events: publications to {TIMES} median ms", "pyiceberg append", statistics.median(took[-AT:]), "ms")
        catalog.close()


def main() -> None:
    chosen = np.random.default_rng(0).choice(KEYS, CHANGED, replace=False)
    with Report("iceberg") as report:
        large(report, "anywhere", None, chosen)
        large(report, "partitioned, newest", Partition("day", "identity"), np.arange(KEYS - CHANGED, KEYS))
        many(report)


if __name__ == "__main__":
    main()
