"""SQL over the history of 10 million changes: caudal, and DuckDB on the bare files that caudal wrote.

Both read the same files, with the same threads, in turn. DuckDB is told the types of the CSV columns and gets the same
Parquet files; what is left is what caudal's checks, its translation and its exact reading cost.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb
from deliver import CONTRACT, item
from report import Report

from caudal.config import Config
from caudal.contract import Delivery
from caudal.ingest.changes import encode_put
from caudal.ingest.items import encode_item
from caudal.ingest.stream import open_stream
from caudal.ingest.writer import open_writer
from caudal.lake.catalog import LakeTable, open_catalog
from caudal.lake.files import open_files
from caudal.lake.query import open_query

CHANGES = 10_000_000
RUNS = 5
QUESTIONS = {
    "aggregate": "SELECT channel, count(*) AS n, sum(amount) AS revenue, max(quantity) AS most FROM {rows} GROUP BY channel",
    "top 10": "SELECT product_id, sum(quantity) AS units FROM {rows} GROUP BY product_id ORDER BY units DESC, product_id LIMIT 10",
    "one customer": "SELECT order_id, amount FROM {rows} WHERE customer_id = 'c4711' AND quantity = 3 ORDER BY order_id LIMIT 100",
}
CSV_TYPES = {
    "order_id": "VARCHAR", "customer_id": "VARCHAR", "product_id": "VARCHAR", "quantity": "BIGINT", "amount": "DECIMAL(12,2)",
    "channel": "VARCHAR", "paid": "BOOLEAN", "sold_at": "TIMESTAMPTZ", "_op": "VARCHAR", "_reason": "VARCHAR",
    "_event_time": "TIMESTAMPTZ", "_event_id": "VARCHAR", "_shard": "INTEGER", "_position": "BIGINT", "_rescued": "VARCHAR",
}


def fill(config: Config) -> None:
    """Append the changes and deliver them, in both formats."""
    stream, files = open_stream(config.url("stream")), open_files(config.url("files"))
    catalog = open_catalog(config.url("catalog"), "shop")
    stream.create("sale", 4)
    rows = [encode_item(item(n)) for n in range(100_000)]
    for start in range(0, CHANGES, 20_000):
        stream.append("sale", [
            (b"%d" % n, encode_put(f"e{n}", 1767225661573241 + n, rows[n % len(rows)], None)) for n in range(start, start + 20_000)
        ])
    for format in ("parquet", "csv"):
        table = LakeTable(f"sale_{format}", CONTRACT, "sale", format)  # type: ignore[arg-type]
        catalog.declare(table)
        delivery = Delivery(format, buffer_bytes=256 << 20)  # type: ignore[arg-type]
        writer = open_writer(config, "shop", CONTRACT, delivery, table, stream, files, catalog)
        assert writer.flush() == CHANGES
        writer.close()
    catalog.close()
    stream.close()


def milliseconds(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Report("query") as report:
        config = Config(folder=folder)
        fill(config)
        files, catalog = open_files(config.url("files")), open_catalog(config.url("catalog"), "shop")
        query, bare = open_query("duckdb:", catalog, files, config.query), duckdb.connect(config={"memory_limit": "4096MB"})
        for format in ("parquet", "csv"):
            paths = [files.location(file.path) for file in catalog.snapshot(f"sale_{format}").files]
            rows = f"read_parquet({paths})" if format == "parquet" else (
                f"read_csv({paths}, auto_detect=false, header=true, delim=',', quote='\"', escape='\"', columns={CSV_TYPES})"
            )
            for name, text in QUESTIONS.items():
                ours, theirs = text.format(rows=f"sale_{format}_history"), text.format(rows=rows)
                assert query.execute(ours).to_pylist() == bare.sql(theirs).to_arrow_table().to_pylist()
                times = [(milliseconds(lambda: query.execute(ours)), milliseconds(lambda: bare.sql(theirs).to_arrow_table()))  # noqa: B023
                         for _ in range(RUNS)]
                report.add(f"{format} {name} ms", "caudal", median(a for a, _ in times), "ms")
                report.add(f"{format} {name} ms", "duckdb", median(b for _, b in times), "ms")
                report.add(f"{format} {name} ratio", "caudal", median(a / b for a, b in times), "x")
        query.close()
        catalog.close()


if __name__ == "__main__":
    main()
