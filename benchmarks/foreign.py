"""Change streams of other systems: from a file to the stream, from records to rows, and the current state of the rows.

The states are of 2 million changes over 1 million keys, 20 changes a millisecond, in four Parquet files, and compared with
those of a table that caudal itself feeds.
"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deliver import CONTRACT
from report import Report

from caudal.config import QueryConfig
from caudal.contract import Contract
from caudal.ingest.importer.ingest import ingest_file
from caudal.ingest.stream import open_stream
from caudal.ingest.transform import open_transform
from caudal.lake.catalog import open_catalog
from caudal.lake.files import open_files
from caudal.lake.formats import encode
from caudal.lake.query import open_query
from caudal.records import Records
from caudal.testing.query_lake import ORDER, Lake

RECORDS = 100_000
ROWS, KEYS, FILES = 2_000_000, 1_000_000, 4
RUNS = 3


def values(n: int) -> dict[str, Any]:
    """The item of one change."""
    return {"order_id": f"o{n}", "customer_id": f"c{n % 997}", "product_id": f"p{n % 89}", "quantity": n % 7 + 1, "amount": f"{n % 1000}.50",
            "channel": "web", "paid": n % 2 == 0, "sold_at": "2026-01-01T00:01:01.573241Z"}


def dynamodb(n: int) -> bytes:
    """A change as Kinesis delivers DynamoDB's."""
    tags = {str: "S", int: "N", bool: "BOOL"}

    def image(n: int) -> dict[str, Any]:
        made = {name: {tags[type(value)]: str(value) if type(value) is int else value} for name, value in values(n).items()}
        return made | {"amount": {"N": values(n)["amount"]}}

    return json.dumps({"eventID": f"ev-{n}", "eventName": "MODIFY", "awsRegion": "eu-central-1", "userIdentity": None, "dynamodb": {
        "ApproximateCreationDateTime": 1767225661573 + n, "NewImage": image(n), "OldImage": image(n + 1)}}).encode()


def debezium(n: int) -> bytes:
    """A change as Debezium sends PostgreSQL's, without its schema."""
    return json.dumps({"before": None, "after": values(n), "op": "u", "ts_ms": 1767225661573, "source": {"lsn": n, "ts_ms": 1767225661573}}).encode()


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def measure_records(report: Report, form: str, make: Callable[[int], bytes]) -> None:
    """From a file to the stream, and from records to rows."""
    contract = replace(CONTRACT, form=form)  # type: ignore[arg-type]
    records = [make(n) for n in range(RECORDS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records.jsonl")
        path.write_bytes(b"\n".join(records))
        stream = open_stream(f"sqlite:{folder}/store.db")
        stream.create(contract.name, 4)
        report.add("file to stream", form, RECORDS / best(lambda: ingest_file(path, contract, stream)), "records/s")
        stream.close()
    transform, run = open_transform("inprocess:", contract, contract, None), Records.of(0, 0, records)
    assert len(transform.apply(run).rows) == RECORDS
    report.add("records to rows", form, RECORDS / best(lambda: transform.apply(run)), "records/s")


def a_file(contract: Contract, first: int, rows: int) -> memoryview:
    """Changes of keys by chance."""
    places = np.arange(first, first + rows)
    ids = np.random.default_rng(first).integers(0, KEYS, rows)
    system = {
        "_op": pa.repeat("put", rows), "_event_time": pa.array(1767225661573000 + places // 20 * 1000).cast(pa.timestamp("us", "UTC")),
        "_event_id": pa.array([f"{place:020d}-1-0123456789abcdef" for place in places]),
        "_shard": pa.repeat(pa.scalar(0, pa.int32()), rows), "_position": pa.array(places), "_before": pa.array(places), "_after": pa.array(places + 1),
    }
    known = {"id": pa.array([f"k{id}" for id in ids]), "quantity": pa.array(places), **system}
    columns = [known.get(field.name, pa.nulls(rows, field.type)) for field in contract.row_schema]
    return encode(pa.Table.from_arrays(columns, schema=contract.row_schema), "parquet", "")


def measure_state(report: Report, form: str) -> None:
    """What a query of the current state, and of the history, costs."""
    with tempfile.TemporaryDirectory() as folder:
        lake, contract = Lake(open_catalog("memory:", "shop"), open_files(f"file:{folder}")), replace(ORDER, form=form)  # type: ignore[arg-type]
        table = lake.declare(contract)
        for first in range(0, ROWS, ROWS // FILES):
            lake.add_bytes(table, a_file(contract, first, ROWS // FILES), ROWS // FILES)
        query = open_query("duckdb:", lake.catalog, lake.files, QueryConfig())
        for name, sql in (("current scan", "SELECT sum(quantity) AS n FROM shop_order"), ("one key", "SELECT * FROM shop_order WHERE id = 'k77'"),
                          ("history count", "SELECT count(*) AS n FROM shop_order_history")):
            report.add(name, form, 1000 * best(lambda sql=sql: query.execute(sql)), "ms")
        query.close()


if __name__ == "__main__":
    with Report("foreign") as report:
        measure_records(report, "dynamodb", dynamodb)
        measure_records(report, "debezium", debezium)
        for form in ("caudal", "dynamodb", "debezium"):
            measure_state(report, form)
