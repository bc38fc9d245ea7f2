"""The current state of 10 million changes over 1 million keys: from the base that `caudal maintain` keeps, against DuckDB
on as many plain rows, and against a window over the whole history."""

import statistics
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from report import Report

from caudal.config import QueryConfig
from caudal.contract import read_contract
from caudal.ingest.writer.objects import put_rows
from caudal.lake.catalog import LakeTable, open_catalog
from caudal.lake.compaction import compact
from caudal.lake.current import make_base
from caudal.lake.files import open_files
from caudal.lake.query import open_query
from caudal.records import Commit

CHANGES, KEYS, COMMIT = 10_000_000, 1_000_000, 250_000
SINCE = 10_000
"""Changes after the base, in the second measure."""
FEW = 100
"""Changes of each commit, in the third."""
SCAN = "SELECT count(*) AS n, sum(quantity) AS quantity, max(price) AS price FROM {table}"
TIMES = 9


class Stock:
    sku: str
    quantity: int
    price: float
    title: str


CONTRACT = read_contract(Stock, name="stock", key=("sku",))


def changes(chance, first, rows):
    keys = chance.integers(0, KEYS, rows)
    if first < KEYS:
        keys[: min(rows, KEYS - first)] = np.arange(first, first + min(rows, KEYS - first))
    text = pa.array(keys).cast(pa.string())
    return pa.table({
        "sku": text, "quantity": chance.integers(0, 1000, rows), "price": chance.random(rows).round(2), "title": text,
        "_op": pa.array(["put"] * rows), "_reason": pa.nulls(rows, pa.string()),
        "_event_time": pa.array(np.arange(first, first + rows), pa.int64()).cast(pa.timestamp("us", "UTC")),
        "_event_id": pa.array(np.arange(first, first + rows)).cast(pa.string()), "_shard": pa.array(np.zeros(rows, np.int32)),
        "_position": np.arange(first, first + rows), "_rescued": pa.nulls(rows, pa.string()),
    }, schema=CONTRACT.row_schema)


def median_ms(work, clock=time.perf_counter):
    took = []
    for _ in range(TIMES):
        started = clock()
        work()
        took.append(1000 * (clock() - started))
    return statistics.median(took)


def main() -> None:
    chance, table = np.random.default_rng(0), LakeTable("stock", CONTRACT, "stock")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Report("current") as report:
        files, catalog = open_files(f"file:{folder}"), open_catalog(f"sqlite:{folder}/catalog.db", "shop")
        catalog.declare(table)
        query = open_query("duckdb:", catalog, files, QueryConfig())
        epoch = catalog.lease("stock", "me", 3600).epoch

        def commit(first, rows):
            made = put_rows(files, "shop", table, epoch, changes(chance, first, rows))
            catalog.commit("stock", Commit(epoch, {0: first}, {0: first + rows}, made, [], rows, rows, 0, 0, rows))

        def scan():
            return query.execute(SCAN.format(table="stock")).to_pylist()

        for first in range(0, CHANGES, COMMIT):
            commit(first, COMMIT)
        report.add("current scan ms", "window query", median_ms(lambda: query.execute(
            "SELECT count(*) AS n, sum(quantity) AS quantity, max(price) AS price FROM (SELECT *, row_number() OVER"
            " (PARTITION BY sku ORDER BY _position DESC) AS newest FROM stock_history) WHERE newest = 1 AND _op <> 'delete'")), "ms")
        before = scan()
        report.add("current scan ms", "caudal, no base", median_ms(scan), "ms")
        started = time.perf_counter()
        merged = compact(catalog, files, table, 32 << 20)
        report.add(f"compaction of {merged.bytes / 1e6:.0f} MB s", "caudal", time.perf_counter() - started, "s")
        started = time.perf_counter()
        make_base(catalog, files, query, "shop", catalog.snapshot("stock"))
        report.add("base s", "caudal", time.perf_counter() - started, "s")
        assert scan() == before
        plain = f"{folder}/plain.parquet"
        pq.write_table(query.execute("SELECT * FROM stock"), plain, compression="zstd", compression_level=1)
        with duckdb.connect() as duck:
            report.add("current scan ms", "duckdb plain",
                       median_ms(lambda: duck.sql(SCAN.format(table=f"'{plain}'")).fetchall()), "ms")
            report.add("current scan ms of all cores", "duckdb plain",
                       median_ms(lambda: duck.sql(SCAN.format(table=f"'{plain}'")).fetchall(), time.process_time), "ms")
        report.add("current scan ms", "caudal", median_ms(scan), "ms")
        commit(CHANGES, SINCE)
        started = time.perf_counter()
        scan()
        report.add("first scan after them: the base's keys are sorted ms", "caudal", 1000 * (time.perf_counter() - started), "ms")
        report.add(f"current scan ms, {SINCE} changes since the base", "caudal", median_ms(scan), "ms")
        report.add(f"current scan ms of all cores, {SINCE} changes since the base", "caudal", median_ms(scan, time.process_time), "ms")
        report.add("one key ms", "caudal", median_ms(lambda: query.execute("SELECT * FROM stock WHERE sku = '777'")), "ms")
        took = []
        for n in range(TIMES):
            commit(CHANGES + SINCE + n * FEW, FEW)
            started = time.perf_counter()
            scan()
            took.append(1000 * (time.perf_counter() - started))
        report.add(f"current scan ms, just after {FEW} more were committed", "caudal", statistics.median(took), "ms")
        query.close()
        catalog.close()


if __name__ == "__main__":
    main()
