"""The most memory that each thing takes, each in a process of its own, on a backlog of 10 million records.

Peak resident MiB as the system counts them, with Python and all libraries; `import caudal` is what these alone take.
"""

import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

from deliver import item
from report import Report

from caudal import Pipeline
from caudal.config import Config, StoreConfig, StreamConfig
from caudal.contract import Delivery
from caudal.ingest.changes import encode_put
from caudal.ingest.items import encode_item

RECORDS = 10_000_000
LARGE = 20 << 20
PIPELINE = Pipeline("shop")


@PIPELINE.table(key=["order_id"], deliveries=[Delivery("parquet"), Delivery("csv")])
class Sale:
    order_id: str
    customer_id: str
    product_id: str
    quantity: int
    channel: str
    sold_at: str


def nothing(config: Config) -> None:
    """What Python and the libraries take."""
    with PIPELINE.open(config) as stages:
        assert stages.query.execute("SELECT 1 AS one")["one"].to_pylist() == [1]


def append(config: Config) -> None:
    """Fill the backlog."""
    rows = [encode_item(item(n)) for n in range(100_000)]
    with PIPELINE.open(config) as stages:
        for start in range(0, RECORDS, 20_000):
            stages.stream.append("sale", [
                (b"%d" % n, encode_put(f"e{n}", 1767225661573241 + n, rows[n % len(rows)], None)) for n in range(start, start + 20_000)
            ])


def query_backlog(config: Config) -> None:
    """Ask while nothing has been delivered."""
    with PIPELINE.open(config) as stages:
        assert 0 < stages.query.execute("SELECT count(*) AS n FROM sale_history")["n"][0].as_py() <= RECORDS


def deliver(table: str) -> Callable[[Config], None]:
    """Deliver the backlog."""
    def run(config: Config) -> None:
        with PIPELINE.open(config) as stages:
            assert stages.writer(table).flush() == RECORDS
    return run


def query(sql: str) -> Callable[[Config], None]:
    """Ask once all is delivered."""
    def run(config: Config) -> None:
        with PIPELINE.open(config) as stages:
            assert len(stages.query.execute(sql))
    return run


def large(config: Config) -> None:
    """Deliver one record of 20 MB."""
    row = {"order_id": "large", "customer_id": "c", "product_id": "p", "quantity": 1, "channel": "x" * LARGE, "sold_at": ""}
    with PIPELINE.open(config) as stages:
        stages.stream.append("sale", [(b"large", encode_put("large", 1767225661573241, encode_item(row), None))])
        assert stages.writer("sale").flush() == 1
        answer = stages.query.execute("SELECT length(channel) AS n FROM sale WHERE order_id = 'large'")
        assert answer["n"].to_pylist() == [LARGE]


WORK: dict[str, Callable[[Config], None]] = {
    "import caudal": nothing,
    "append 10 M records": append,
    "query with 10 M records waiting": query_backlog,
    "deliver 10 M records as parquet": deliver("sale"),
    "deliver 10 M records as csv": deliver("sale_csv"),
    "query history": query("SELECT channel, count(*) AS n FROM sale_history GROUP BY channel"),
    "query current state of 10 M keys": query("SELECT channel, count(*) AS n FROM sale GROUP BY channel"),
    "deliver a record of 20 MB": large,
}


def measured(work: str, config: Config) -> float:
    """Peak MiB of this process once it has done its work."""
    WORK[work](config)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Report("memory") as report:
        url = f"sqlite:{folder}/store.db"
        config = Config(folder=folder, store=StoreConfig(url), stream=StreamConfig(url))
        for work in WORK:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                report.add(f"{work} peak MiB", "caudal", pool.apply(measured, (work, config)), "MiB")


if __name__ == "__main__":
    main()
