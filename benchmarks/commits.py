"""What a commit costs after 1, 100, 1,000 and 10,000 of them: a data file of 1,000 rows and its positions, durable."""

import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from report import Report

from caudal.contract import read_contract
from caudal.ingest.writer.inprocess import put_rows
from caudal.lake.catalog import LakeTable, open_catalog
from caudal.lake.files import open_files
from caudal.records import Commit

AT = (1, 100, 1_000, 10_000)
AROUND = 50
"""Commits on each side of a mark that its median is taken of."""
ROWS = 1_000
SHARDS = 4


class Sale:
    order_id: str
    quantity: int


def main() -> None:
    contract = read_contract(Sale, name="sale", key=("order_id",))
    table = LakeTable("sale", contract, "sale")
    rows = pa.table({
        "order_id": [f"o{n}" for n in range(ROWS)], "quantity": list(range(ROWS)), "_op": ["put"] * ROWS,
        "_reason": pa.nulls(ROWS, pa.string()), "_event_time": pa.array([0] * ROWS, contract.row_schema.field("_event_time").type),
        "_event_id": [f"e{n}" for n in range(ROWS)], "_shard": pa.array([0] * ROWS, pa.int32()),
        "_position": list(range(ROWS)),
    }, schema=contract.row_schema)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        files, catalog = open_files(f"file:{folder}"), open_catalog(f"sqlite:{folder}/catalog.db", "shop")
        catalog.declare(table)
        lease = catalog.lease("sale", "me", 3600)
        since = dict.fromkeys(range(SHARDS), 0)
        took = []
        for _ in range(max(AT) + AROUND):
            started = time.perf_counter()
            until = {shard: offset + ROWS // SHARDS for shard, offset in since.items()}
            made = put_rows(files, "shop", table, lease.epoch, rows)
            catalog.commit("sale", Commit(lease.epoch, since, until, made, [], ROWS, ROWS, 0, 0, ROWS))
            took.append(1000 * (time.perf_counter() - started))
            since = until
        opened = time.perf_counter()
        assert len(catalog.snapshot("sale").files) == len(took)
        opened = 1000 * (time.perf_counter() - opened)
        catalog.close()
    with Report("commits") as report:
        for at in AT:
            report.add(f"commit {at} median ms", "caudal", statistics.median(took[max(0, at - AROUND) : at + AROUND]), "ms")
        report.add(f"snapshot of {len(took)} files ms", "caudal", opened, "ms")


if __name__ == "__main__":
    main()
