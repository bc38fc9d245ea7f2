"""Durable writes: one client, 32 clients, and an import of a file."""

import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
from deliver import CONTRACT, item
from report import Report

from caudal.ingest.importer import import_file
from caudal.ingest.store import open_store
from caudal.ingest.stream import open_stream

RUNS = 5
ONE = 2_000
MANY = 500
"""Puts of each of 32 clients."""
IMPORTED = 100_000


def one_client(folder: str) -> float:
    store = open_store(f"sqlite:{folder}/store.db")
    store.declare("sale", ("order_id",))
    items = [item(n) for n in range(ONE)]
    started = time.perf_counter()
    for it in items:
        store.put("sale", it)
    took = time.perf_counter() - started
    store.close()
    return ONE / took


def many_clients(folder: str, clients: int = 32) -> float:
    store = open_store(f"sqlite:{folder}/store.db")
    store.declare("sale", ("order_id",))
    lots = [[item(client * MANY + n) for n in range(MANY)] for client in range(clients)]
    threads = [threading.Thread(target=lambda lot: [store.put("sale", it) for it in lot], args=(lot,)) for lot in lots]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    store.close()
    return clients * MANY / took


def imported(folder: str) -> float:
    path = Path(folder, "sales.parquet")
    rows = [{**item(n), "sold_at": datetime(2026, 1, 1, tzinfo=UTC)} for n in range(IMPORTED)]
    pq.write_table(pa.Table.from_pylist(rows, CONTRACT.schema), path)
    store, stream = open_store(f"sqlite:{folder}/store.db"), open_stream(f"sqlite:{folder}/store.db")
    store.declare("sale", ("order_id",))
    started = time.perf_counter()
    done = import_file(path, CONTRACT, store, stream)
    took = time.perf_counter() - started
    assert done.written == IMPORTED
    stream.close()
    store.close()
    return IMPORTED / took


def main() -> None:
    with Report("puts") as report:
        for measure, run, unit in (
            ("one client puts/s", one_client, "puts/s"), ("32 clients puts/s", many_clients, "puts/s"),
            ("import items/s", imported, "items/s"),
        ):
            found = []
            for _ in range(RUNS):
                with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                    found.append(run(folder))
            report.add(measure, "caudal", median(found), unit)


if __name__ == "__main__":
    main()
