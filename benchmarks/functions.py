"""What it costs to call a user's function in a process of its own: each kind, from records to rows, against the writer's process.

The same records, the same function; the process is warm, as it is after the first batch.
"""

import base64
import json
import time
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deliver import CONTRACT, item
from report import Report

from caudal.contract import UserFunction, lambda_handler, per_batch
from caudal.ingest.changes import encode_put
from caudal.ingest.items import encode_item
from caudal.ingest.transform import open_transform
from caudal.records import Records

RUNS = 21


def paid(row: dict[str, Any]) -> dict[str, Any] | None:
    """One record: an item or none."""
    return {**row, "channel": row["channel"].upper()} if row["paid"] else None


def all_paid(rows: pa.Table) -> pa.Table:
    """A whole batch."""
    place = rows.schema.get_field_index("channel")
    return rows.set_column(place, "channel", pc.utf8_upper(rows["channel"])).filter(rows["paid"])


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The same as an AWS Lambda handler."""
    answers = []
    for record in event["records"]:
        row = json.loads(base64.b64decode(record["data"]))
        data = base64.b64encode(json.dumps({**row, "channel": row["channel"].upper()}).encode()).decode()
        answers.append({"recordId": record["recordId"], "result": "Ok" if row["paid"] else "Dropped", "data": data})
    return {"records": answers}


def main() -> None:
    with Report("functions") as report:
        for name, function, size in (
            ("per record", UserFunction(paid), 20_000), ("per batch", per_batch(all_paid), 200_000),
            ("lambda handler", lambda_handler(handler), 20_000),
        ):
            lines = [encode_put(f"e{n}", 1767225661573241, encode_item(item(n)), None) for n in range(size)]
            records = Records.of(0, 0, lines)
            transforms = {url: open_transform(url, CONTRACT, CONTRACT, function) for url in ("inprocess:", "process:")}
            took: dict[str, list[float]] = {url: [] for url in transforms}
            for _ in range(RUNS + 1):  # in turn, for the machine's speed drifts
                for url, transform in transforms.items():
                    started = time.perf_counter()
                    assert transform.apply(records).delivered == size // 2
                    took[url].append(time.perf_counter() - started)
            for transform in transforms.values():
                transform.close()
            for url, seconds in took.items():
                report.add(f"{name} records/s", url.rstrip(":"), size / median(seconds[1:]), "records/s")
            ratios = [b / a for a, b in zip(took["inprocess:"][1:], took["process:"][1:], strict=True)]
            report.add(f"{name} time ratio", "process", median(ratios), "x")


if __name__ == "__main__":
    main()
