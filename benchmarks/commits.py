"""What a commit costs after 1, 100, 1,000, 10,000 and 100,000 of them, while maintenance merges files as `caudal up` does:
a data file of 1,000 rows and its positions, durable. And what opening the table, status and the catalog's file cost then.

PyIceberg appends the same rows beside it, up to 300 times only: each append costs more than the one before, and 100,000
would take months.
"""

import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from report import Report

from caudal.contract import read_contract
from caudal.ingest.writer.objects import put_rows
from caudal.lake.catalog import LakeTable, open_catalog
from caudal.lake.compaction import compact
from caudal.lake.files import open_files
from caudal.records import Commit

AT = (1, 100, 1_000, 10_000, 100_000)
PEER_AT = (1, 100, 300)
PEER_AROUND = 10
AROUND = 50
"""Commits on each side of a mark that its median is taken of."""
ROWS = 1_000
SHARDS = 4
EVERY = 60
"""Commits between two maintenances: a minute of a writer that commits every second."""


class Sale:
    order_id: str
    quantity: int


def median_ms(work):
    took = []
    for _ in range(9):
        started = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - started))
    return statistics.median(took)


def side_by_side(folder, files, catalog, table, rows, epoch, since):
    """Medians of 100 commits to the old table and to a new one, in turn: whatever else the machine does, both meet it."""
    fresh = open_catalog(f"sqlite:{folder}/fresh.db", "shop")
    fresh.declare(table)
    tables = {"old": (catalog, epoch, since), "new": (fresh, fresh.lease("sale", "me", 36_000).epoch, dict.fromkeys(since, 0))}
    took = {name: [] for name in tables}
    for _ in range(100):
        for name, (place, epoch, since) in tables.items():
            started = time.perf_counter()
            until = {shard: offset + ROWS // SHARDS for shard, offset in since.items()}
            made = put_rows(files, "shop", table, epoch, rows)
            place.commit("sale", Commit(epoch, since, until, made, [], ROWS, ROWS, 0, 0, ROWS))
            took[name].append(1000 * (time.perf_counter() - started))
            tables[name] = place, epoch, until
    fresh.close()
    return statistics.median(took["old"]), statistics.median(took["new"])


def peer(report, rows):
    """PyIceberg, by its SQL catalog, in files that it does not sync."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        catalog, took = SqlCatalog("peer", uri=f"sqlite:///{folder}/i.db", warehouse=f"file://{folder}"), []
        catalog.create_namespace("shop")
        table = catalog.create_table("shop.sale", rows.schema)
        for _ in range(max(PEER_AT) + PEER_AROUND):
            started = time.perf_counter()
            table.append(rows)
            took.append(1000 * (time.perf_counter() - started))
        catalog.close()
    for at in PEER_AT:
        window = took[max(0, at - PEER_AROUND) : at + PEER_AROUND]
        report.add(f"commit {at} median ms", "pyiceberg append", statistics.median(window), "ms")


def main() -> None:
    contract = read_contract(Sale, name="sale", key=("order_id",))
    table = LakeTable("sale", contract, "sale")
    rows = pa.table({
        "order_id": [f"o{n}" for n in range(ROWS)], "quantity": list(range(ROWS)), "_op": ["put"] * ROWS,
        "_reason": pa.nulls(ROWS, pa.string()), "_event_time": pa.array([0] * ROWS, contract.row_schema.field("_event_time").type),
        "_event_id": [f"e{n}" for n in range(ROWS)], "_shard": pa.array([0] * ROWS, pa.int32()),
        "_position": list(range(ROWS)), "_rescued": pa.nulls(ROWS, pa.string()),
    }, schema=contract.row_schema)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Report("commits") as report:
        files, catalog = open_files(f"file:{folder}"), open_catalog(f"sqlite:{folder}/catalog.db", "shop")
        catalog.declare(table)
        lease = catalog.lease("sale", "me", 36_000)
        since = dict.fromkeys(range(SHARDS), 0)
        took, merging = [], 0.0
        for number in range(max(AT) + AROUND):
            started = time.perf_counter()
            until = {shard: offset + ROWS // SHARDS for shard, offset in since.items()}
            made = put_rows(files, "shop", table, lease.epoch, rows)
            catalog.commit("sale", Commit(lease.epoch, since, until, made, [], ROWS, ROWS, 0, 0, ROWS))
            took.append(1000 * (time.perf_counter() - started))
            since = until
            if number % EVERY == 0:
                started = time.perf_counter()
                old = {file.path for file in catalog.snapshot("sale").files}
                compact(catalog, files, table, 32 << 20, all_small=False)
                for path in old - {file.path for file in catalog.snapshot("sale").files}:
                    files.delete(path)  # only to spare this machine's disk: the catalog goes on naming all versions
                merging += time.perf_counter() - started
        old_ms, new_ms = side_by_side(folder, files, catalog, table, rows, lease.epoch, since)
        report.add(f"commit {max(AT)}, in turn with a new table's, median ms", "caudal", old_ms, "ms")
        report.add("commit 1 to 100 of the new table, median ms", "caudal", new_ms, "ms")
        for at in AT:
            report.add(f"commit {at} median ms", "caudal", statistics.median(took[max(0, at - AROUND) : at + AROUND]), "ms")
        report.add("merging, of all time", "caudal", 100 * merging / (merging + sum(took) / 1000), "%")
        report.add("files at the end", "caudal", len(catalog.snapshot("sale").files))
        report.add("opening the table ms", "caudal", median_ms(lambda: catalog.snapshot("sale")), "ms")
        now = time.time_ns() // 1000 - 1_000_000
        report.add("totals and the last second's commits ms", "caudal",
                   median_ms(lambda: (catalog.totals("sale"), catalog.commits("sale", now))), "ms")
        report.add("an old version ms", "caudal", median_ms(lambda: catalog.snapshot("sale", 50_000)), "ms")
        report.add("catalog file", "caudal", Path(folder, "catalog.db").stat().st_size / 1e6, "MB")
        started = time.perf_counter()
        while catalog.expire("sale", 10, 1 << 60).versions:
            pass
        report.add("expiring all but 10 versions s", "caudal", time.perf_counter() - started, "s")
        catalog.close()
        peer(report, rows)


if __name__ == "__main__":
    main()
