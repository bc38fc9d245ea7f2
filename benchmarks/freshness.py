"""How long after a change is due does SQL show it, while a writer delivers in large files.

Three processes, as in `caudal up`: one appends changes at a steady rate, durably; one delivers them, in batches of 64 MB or
60 seconds; and this one asks again and again. A change's delay runs from the moment at which it was due to the end of the
first query that counted it, so a producer or a query that falls behind shows. `committed files` is the same table read without
its tail (`[query] fresh = false`), delivered every second.
"""


import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from deliver import item
from report import Report

from caudal.ingest.changes import encode_put
from caudal.ingest.items import encode_item
from caudal.loader import load_pipeline
from caudal.supervisor import Supervisor

SECONDS = 10
RATES = (1_000, 10_000, 100_000)
PIPELINE = """
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from caudal import Delivery, Digits, Pipeline

pipeline = Pipeline("shop")


@pipeline.table(key=["order_id"], deliveries=[Delivery(buffer_bytes=64 << 20, buffer_seconds={seconds})])
class Sale:
    order_id: str
    customer_id: str
    product_id: str
    quantity: int
    amount: Annotated[Decimal, Digits(12, 2)]
    channel: str
    paid: bool
    sold_at: datetime
"""


def produce(file: str, rate: int, start: float) -> None:
    """Append what is due, until all is."""
    pipeline, config = load_pipeline(Path(file))
    with pipeline.open(config) as stages:
        rows = [encode_item(item(n)) for n in range(10_000)]
        done, total = 0, rate * SECONDS
        while done < total:
            due = min(total, int((time.time() - start) * rate))
            if due <= done:
                time.sleep(0.001)
                continue
            stages.stream.append("sale", [
                (b"%d" % n, encode_put(f"e{n}", 1767225661573241, rows[n % len(rows)], None)) for n in range(done, due)
            ])
            done = due


def delays(rate: int, seconds: float, fresh: bool) -> np.ndarray:
    """Milliseconds from due to shown, one a change."""
    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    file = folder / "pipeline.py"
    file.write_text(PIPELINE.replace("{seconds}", str(seconds)))
    (folder / "caudal.toml").write_text(f"[query]\nfresh = {str(fresh).lower()}\n")
    pipeline, config = load_pipeline(file)
    parts = Supervisor(file, ("writer",))
    try:
        parts.start()
        with pipeline.open(config) as stages:
            sql = "SELECT count(*) AS n, sum(amount) AS revenue FROM sale_history"
            stages.query.execute(sql)
            start = time.time() + 4
            producer = subprocess.Popen([sys.executable, __file__, str(file), str(rate), str(start)])
            shown, found = 0, np.zeros(rate * SECONDS)
            while shown < len(found):
                now_shown = stages.query.execute(sql)["n"][0].as_py()
                now = time.time()
                found[shown:now_shown] = 1000 * (now - start - (np.arange(shown, now_shown) + 1) / rate)
                shown = now_shown
                if producer.poll():
                    raise RuntimeError("the producer failed")
            producer.wait()
    finally:
        parts.stop()
        shutil.rmtree(folder)
    return found


def main() -> None:
    with Report("freshness") as report:
        for rate in RATES:
            for subject, seconds, fresh in (("caudal", 60, True), ("committed files", 1, False)):
                found = delays(rate, seconds, fresh)
                for name, value in (("p50", np.median(found)), ("p99", np.quantile(found, 0.99))):
                    report.add(f"change to sql {name} ms at {rate}/s", subject, float(value), "ms")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        produce(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    else:
        main()
