"""From JSON in a stream to CSV in the lake: caudal's whole batches, and the usual Lambda handler, record by record.

`json to csv` and `dynamodb json to csv` start from the same bytes and end with CSV bytes, both in one process: the handler
gets its records in base64 and answers in base64, as Firehose's contract has it; caudal decodes, types and checks them
against a contract. Beside them dlt, in a process of its own, from a JSON lines file to CSV files (`deliver_dlt.py`).
`stream to lake` reads a SQLite stream and ends with committed, fsynced files.
"""

import base64
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from report import Report

from caudal.config import Config
from caudal.contract import Delivery, Digits, read_contract
from caudal.ingest.changes import encode_put
from caudal.ingest.items import encode_item
from caudal.ingest.stream import open_stream
from caudal.ingest.transform.decode import Decoder
from caudal.ingest.writer import open_writer
from caudal.lake.catalog import LakeTable, open_catalog
from caudal.lake.files import open_files
from caudal.lake.formats import encode
from caudal.records import Records

RUNS = 5
RECORDS = 200_000
BATCH = 50_000
COLUMNS = ("order_id", "customer_id", "product_id", "quantity", "amount", "channel", "paid", "sold_at")


class Sale:
    order_id: str
    customer_id: str
    product_id: str
    quantity: int
    amount: Annotated[Decimal, Digits(12, 2)]
    channel: str
    paid: bool
    sold_at: datetime


CONTRACT = read_contract(Sale, name="sale", key=("order_id",))


def item(n: int) -> dict[str, Any]:
    return {
        "order_id": f"o{n}", "customer_id": f"c{n % 5000}", "product_id": f"p{n % 9999}", "quantity": n % 7 + 1,
        "amount": Decimal(n % 10000) / 100, "channel": "web", "paid": n % 2 == 0, "sold_at": "2026-01-01T00:01:01.573241Z",
    }


def dynamodb(n: int) -> bytes:
    """The change record of an insert, as DynamoDB puts it into Kinesis."""
    row = item(n)
    image = {
        name: {"BOOL": value} if isinstance(value, bool) else {"N": str(value)} if isinstance(value, int | Decimal) else {"S": value}
        for name, value in row.items()
    }
    return json.dumps({
        "awsRegion": "eu-central-1", "eventID": f"event-{n}", "eventName": "INSERT", "userIdentity": None,
        "recordFormat": "application/json", "tableName": "sale", "dynamodb": {
            "ApproximateCreationDateTime": 1767225661573, "Keys": {"order_id": image["order_id"]}, "NewImage": image,
            "SizeBytes": 120,
        }, "eventSource": "aws:dynamodb",
    }).encode()


def by_handler(records: list[bytes], flat: Callable[[dict[str, Any]], list[Any]]) -> float:
    """Records per second of the handler that AWS's examples show, in invocations of 500 records."""
    events = [
        {"records": [{"recordId": str(n), "data": base64.b64encode(r).decode()} for n, r in enumerate(records[start : start + 500])]}
        for start in range(0, len(records), 500)
    ]

    def handler(event: dict[str, Any]) -> dict[str, Any]:
        answers = []
        for record in event["records"]:
            row = json.loads(base64.b64decode(record["data"]))
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerow(flat(row))
            data = base64.b64encode(out.getvalue().encode()).decode()
            answers.append({"recordId": record["recordId"], "result": "Ok", "data": data})
        return {"records": answers}

    started = time.perf_counter()
    for event in events:
        assert len(handler(event)["records"]) == len(event["records"])
    return len(records) / (time.perf_counter() - started)


def untyped(change: dict[str, Any]) -> list[Any]:
    image = change["dynamodb"]["NewImage"]
    values = []
    for name in COLUMNS:
        ((kind, value),) = image[name].items()
        values.append(Decimal(value) if kind == "N" else value)
    return values


def by_dlt(records: list[bytes]) -> float | None:
    """Records per second of dlt, in an environment of its own, made with pip; None, and why, if it cannot be made."""
    with tempfile.TemporaryDirectory(prefix="caudal-dlt-") as folder:
        python = f"{folder}/venv/bin/python"
        made = subprocess.run(
            f"{sys.executable} -m venv {folder}/venv && {python} -m pip install -q dlt[filesystem]==1.31.0",
            shell=True, capture_output=True, text=True, check=False,
        )
        if made.returncode:
            print(f"dlt is not measured, for it cannot be installed: {made.stderr.strip()[-300:]}")
            return None
        took = []
        for run in range(RUNS):
            (here := Path(folder, str(run), "in")).mkdir(parents=True)
            (here / "sales.jsonl").write_bytes(b"".join(record + b"\n" for record in records))
            script = Path(__file__).with_name("deliver_dlt.py")
            done = subprocess.run([python, script, here.parent], capture_output=True, text=True, check=True, cwd=here.parent)
            lines = sum(path.read_bytes().count(b"\n") - 1 for path in here.parent.glob("out/shop/sale/*.csv"))
            assert lines == len(records)
            took.append(float(done.stdout.split()[-1]))
    return len(records) / median(took)


def by_caudal(batches: list[Records], form: str) -> float:
    """Records per second of the transform and the CSV encoder."""
    decoder = Decoder(CONTRACT, form)
    started = time.perf_counter()
    rows = 0
    for batch in batches:
        decoded = decoder.decode(batch)
        assert encode(decoded.rows, "csv", "").nbytes
        rows += len(decoded.rows)
    took = time.perf_counter() - started
    assert rows == RECORDS
    return rows / took


def stream_to_lake(format: str) -> float:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        config = Config(folder=folder)
        stream, files = open_stream(config.url("stream")), open_files(config.url("files"))
        catalog = open_catalog(config.url("catalog"), "shop")
        stream.create("sale", 4)
        for start in range(0, RECORDS, 1000):
            stream.append("sale", [
                (b"%d" % n, encode_put(f"e{n}", 1767225661573241, encode_item(item(n)), None)) for n in range(start, start + 1000)
            ])
        table = LakeTable("sale", CONTRACT, "sale", format)  # type: ignore[arg-type]
        catalog.declare(table)
        delivery = Delivery(format, buffer_bytes=16 << 20)  # type: ignore[arg-type]
        writer = open_writer(config, "shop", CONTRACT, delivery, table, stream, files, catalog)
        started = time.perf_counter()
        assert writer.flush() == RECORDS
        took = time.perf_counter() - started
        writer.close()
        catalog.close()
        stream.close()
    return RECORDS / took


def main() -> None:
    with Report("deliver") as report:
        plain = [encode_item(item(n)) for n in range(RECORDS)]
        changes = [dynamodb(n) for n in range(RECORDS)]
        for measure, records, form, flat in (
            ("json to csv records/s", plain, "plain", lambda row: [row[name] for name in COLUMNS]),
            ("dynamodb json to csv records/s", changes, "dynamodb", untyped),
        ):
            batches = [Records.of(0, start, records[start : start + BATCH]) for start in range(0, RECORDS, BATCH)]
            ours, theirs = [], []
            for _ in range(RUNS):  # in turn, for the machine's speed drifts
                ours.append(by_caudal(batches, form))
                theirs.append(by_handler(records[: RECORDS // 4], flat))
            report.add(measure, "caudal", median(ours), "records/s")
            report.add(measure, "lambda handler", median(theirs), "records/s")
            report.add(f"{measure.removesuffix(' records/s')} ratio", "caudal", median(a / b for a, b in zip(ours, theirs, strict=True)), "x")
        if (dlt := by_dlt(plain[: RECORDS // 4])) is not None:
            report.add("json to csv records/s", "dlt", dlt, "records/s")
        report.add("stream to lake records/s", "caudal", median(stream_to_lake("parquet") for _ in range(RUNS)), "records/s")
        report.add("stream to lake csv records/s", "caudal", median(stream_to_lake("csv") for _ in range(RUNS)), "records/s")


if __name__ == "__main__":
    main()
