"""What the demo tells, step by step: each number is measured while it is shown."""

import http.client
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from caudal.demo import data
from caudal.errors import Unavailable, UsageError
from caudal.ingest.items import encode_item
from caudal.loader import load_pipeline
from caudal.pipeline import Stages
from caudal.records import Item
from caudal.supervisor import Supervisor
from caudal.verify import verify

BATCH = 1000
REFRESH = 10 * BATCH
"""Records after which the progress of the lake is read again."""
FEWEST = 10_000
"""Lines of receipts that make a household worth recommending to."""
LEFT = {"pipeline.py", "caudal.toml", "caudal-data", "__pycache__"}
"""What an earlier demo left, and what is removed for another."""
KILLS = (0.25, 0.5, 0.75)
"""Parts of the import after which the writer is killed."""

QUERIES = {
    "What sells, by department": """
        SELECT p.department, count(DISTINCT s.household_id) AS households, sum(s.quantity) AS units, sum(s.amount) AS revenue
        FROM sale s JOIN product p ON p.product_id = s.product_id
        GROUP BY p.department ORDER BY revenue DESC LIMIT 6""",
    "Revenue by month": """
        SELECT date_format(sold_at, '%Y-%m') AS month, count(DISTINCT basket_id) AS baskets, sum(amount) AS revenue,
               round(sum(amount) / count(DISTINCT basket_id), 2) AS per_basket
        FROM sale GROUP BY 1 ORDER BY 1 DESC LIMIT 6""",
    "Which brands grow: last 90 days against the 90 before": """
        WITH recent AS (
          SELECT p.brand, sum(CASE WHEN s.sold_at >= date_add('day', -90, m.last) THEN s.amount ELSE 0 END) AS now,
                 sum(CASE WHEN s.sold_at < date_add('day', -90, m.last) THEN s.amount ELSE 0 END) AS before
          FROM sale s JOIN product p ON p.product_id = s.product_id CROSS JOIN (SELECT max(sold_at) AS last FROM sale) m
          WHERE s.sold_at >= date_add('day', -180, m.last) GROUP BY p.brand)
        SELECT brand, before, now, round(100 * (now - before) / before, 1) AS percent
        FROM recent WHERE before > 0 ORDER BY now DESC""",
}

LAKE_TABLES = ("product", "household", "sale", "sale_csv", "view")


def run(folder: Path, rows: int, console: Console) -> bool:
    """Run the demo in a new `folder` with the last `rows` lines of receipts, 0 for all; says whether all was well."""
    started = time.monotonic()
    if 0 < rows < FEWEST:
        raise UsageError(f"{rows} lines of receipts are too few", hint=f"take {FEWEST} at least, or 0 for all")
    pipeline_file = _prepare(folder)
    pipeline, config = load_pipeline(pipeline_file)
    with pipeline.open(config) as stages:
        _shop(stages, pipeline_file, rows, console)
        _lake(stages, console)
        _analysts(stages, console)
        _learn(stages, console)
        _serve(stages, pipeline_file, console)
        ok = _account(stages, console)
    _where(folder, console, time.monotonic() - started)
    return ok


def _prepare(folder: Path) -> Path:
    ours = Path(__file__).with_name("pipeline.py")
    if folder.exists() and any(folder.iterdir()):
        is_ours = (folder / "pipeline.py").is_file() and (folder / "pipeline.py").read_bytes() == ours.read_bytes()
        if not is_ours or {each.name for each in folder.iterdir()} - LEFT:
            raise UsageError(f"{folder}: is not empty, and not as an earlier demo left it", hint="name another with --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ours, folder / "pipeline.py")
    (folder / "caudal.toml").write_text(f'[endpoint]\nurl = "http://127.0.0.1:{_free_port()}"\n')
    return folder / "pipeline.py"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _heading(console: Console, number: str, text: str) -> None:
    console.print(f"\n[bold]{number}  {text}[/bold]")


def _shop(stages: Stages, pipeline_file: Path, rows: int, console: Console) -> None:
    """Write everything through the store while the writer delivers, and is killed."""
    _heading(console, "1–5", "shop → store → stream → transform → writer")
    total, blocks = data.sales(rows)
    stages.store.put_batch("product", products := data.products())
    stages.store.put_batch("household", households := data.households())
    writer = Supervisor(pipeline_file, ("writer",))
    writer.start()
    kills = [int(total * part) for part in KILLS]
    began, done, before = time.monotonic(), 0, 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            writing = progress.add_task("written to the store", total=total)
            delivered = progress.add_task("in the lake", total=total)
            for batch in (batch for block in blocks for batch in _batches(block)):
                stages.store.put_batch("sale", batch)
                done += len(batch)
                progress.update(writing, completed=done)
                if kills and done >= kills[0]:
                    kills.pop(0)
                    before = _kill(stages, writer, before)
                    progress.console.print(f"   kill -9 of the writer at record {done:,}, {before:,} in the lake")
                writer.watch()
                if done % REFRESH == 0:
                    progress.update(delivered, completed=_reached(stages, "sale"))
            written = time.monotonic() - began
            while any(_reached(stages, name) < total for name in ("sale", "sale_csv")):
                writer.watch()
                progress.update(delivered, completed=_reached(stages, "sale"))
                time.sleep(0.05)
            arrived = time.monotonic() - began
            progress.update(delivered, completed=total)
    finally:
        writer.stop()
    console.print(f"   {len(products):,} products, {len(households):,} households")
    console.print(f"   {total:,} sales: {total / written:,.0f} durable writes/s; all in the lake, as Parquet and as CSV, "
                  f"{(arrived - written):.1f} s after the last write")


def _kill(stages: Stages, writer: Supervisor, before: int) -> int:
    """Kill the writer in the midst of its work, once it has got further than `before`; how far it got."""
    while (reached := _reached(stages, "sale")) <= before or writer.parts["writer"].process.poll() is not None:
        writer.watch()
        time.sleep(0.02)
    os.kill(writer.parts["writer"].process.pid, signal.SIGKILL)
    return reached


def _batches(block: list[Item]) -> Iterable[list[Item]]:
    return (block[start : start + BATCH] for start in range(0, len(block), BATCH))


def _reached(stages: Stages, table: str) -> int:
    return sum(stages.catalog.snapshot(table).positions.values())


def _lake(stages: Stages, console: Console) -> None:
    _heading(console, "6", "lake and catalog")
    _deliver(stages)
    table = Table("table", "format", "rows", "files", "bytes", "version")
    for name, lake_table in stages.catalog.tables().items():
        snapshot = stages.catalog.snapshot(name)
        table.add_row(name, lake_table.format, f"{sum(f.rows for f in snapshot.files):,}", str(len(snapshot.files)),
                      f"{sum(f.bytes for f in snapshot.files):,}", str(snapshot.version))
    console.print(table)


def _deliver(stages: Stages) -> None:
    """Take what still waits in the stream to the lake."""
    for name in LAKE_TABLES:
        stages.writer(name).flush()
    stages.writers.close()


def _analysts(stages: Stages, console: Console) -> None:
    _heading(console, "7", "query: SQL in Athena's dialect")
    for title, sql in QUERIES.items():
        began = time.monotonic()
        answer = stages.query.execute(sql)
        console.print(f"   {title} ({1000 * (time.monotonic() - began):.0f} ms)")
        console.print(_as_table(answer.column_names, answer.to_pylist()))


def _as_table(names: Sequence[str], rows: list[Item]) -> Table:
    table = Table(*names)
    for row in rows:
        table.add_row(*("NULL" if row[name] is None else str(row[name]) for name in names))
    return table


def _learn(stages: Stages, console: Console) -> None:
    _heading(console, "8", "learn")
    recommender = stages.pipeline.recommenders["basket"]
    began = time.monotonic()
    with console.status("training") as status:
        card = stages.trainer.train(
            recommender, seed=stages.config.trainer.seed, progress=lambda step: status.update(f"training: {step}")
        )
    console.print(f"   {card.label}: {card.interactions:,} interactions of {card.users:,} households, "
                  f"{card.items:,} items, {time.monotonic() - began:.1f} s with its evaluation")
    console.print(_metrics(card.evaluation))


def _metrics(evaluation: dict[str, Any]) -> Table:
    table = Table("items not bought before, in weeks not seen", "model", "what sells most")
    mine, popular = evaluation.get("metrics", {}), evaluation.get("popularity", {})
    for name in sorted(mine):
        table.add_row(name, f"{mine[name]:.4f}", f"{popular[name]:.4f}" if name in popular else "")
    return table


class _Api:
    """The shop's side of the HTTP API."""

    def __init__(self, url: str) -> None:
        self._host = url.removeprefix("http://")
        self._connection = http.client.HTTPConnection(self._host, timeout=30)

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        self._connection.request(method, path, body, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise Unavailable(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def wait_until_ready(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                if self.call("GET", "/health")["ready"]:
                    return
            except (OSError, http.client.HTTPException, Unavailable):
                self._connection.close()
            if time.monotonic() > until:
                raise Unavailable("the endpoint did not come up", hint="look at `caudal status`")
            time.sleep(0.1)


def _serve(stages: Stages, pipeline_file: Path, console: Console) -> None:
    """Ask over HTTP, buy over HTTP, and measure until SQL and recommendations show it."""
    _heading(console, "9", "serve: recommendations that react")
    parts = Supervisor(pipeline_file, ("writer", "endpoint"))
    parts.start()
    try:
        api = _Api(stages.config.endpoint.url)
        api.wait_until_ready(60)
        household = stages.query.execute(
            "SELECT household_id FROM sale GROUP BY household_id HAVING count(*) BETWEEN 100 AND 2000 "
            "ORDER BY count(*) DESC, household_id LIMIT 1"
        )["household_id"][0].as_py()
        _show(api, household, "new", console)
        _show(api, household, "again", console)
        _buy(stages, api, household, console)
    finally:
        parts.stop()


def _show(api: _Api, household: str, slot: str, console: Console) -> list[str]:
    began = time.monotonic()
    answer = api.call("GET", f"/v1/recommend/{quote(household)}?n=5&slot={slot}")
    took = 1000 * (time.monotonic() - began)
    table = Table("item", "title", "score", "reason")
    for item in answer["items"]:
        table.add_row(item["item"], item.get("title") or "", f"{item['score']:.3f}", item["reason"]["text"])
    console.print(f"   household {household}, slot {slot} ({took:.1f} ms)")
    console.print(table)
    return [item["item"] for item in answer["items"]]


def _buy(stages: Stages, api: _Api, household: str, console: Console) -> None:
    offered = [i["item"] for i in api.call("GET", f"/v1/recommend/{quote(household)}?n=5&slot=new")["items"]]
    basket = f"demo-{time.time_ns()}"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sale = {"basket_id": basket, "product_id": offered[0], "household_id": household, "store_id": "1", "quantity": 1,
            "amount": Decimal("2.49"), "discount": Decimal("0.00"), "sold_at": now}
    began = time.monotonic()
    api.call("PUT", "/v1/items/sale", encode_item(sale))
    stored = time.monotonic()
    while True:
        after = [i["item"] for i in api.call("GET", f"/v1/recommend/{quote(household)}?n=5&slot=new")["items"]]
        if offered[0] not in after:
            break
    changed = time.monotonic()
    while not stages.query.execute(f"SELECT amount FROM sale WHERE basket_id = '{basket}'").num_rows:
        time.sleep(0.001)
    visible = time.monotonic()
    console.print(f"   the household buys {offered[0]}: durable after {1000 * (stored - began):.1f} ms, "
                  f"recommendations changed after {1000 * (changed - began):.1f} ms, "
                  f"visible in SQL after {1000 * (visible - began):.0f} ms")
    _show(api, household, "new", console)


def _account(stages: Stages, console: Console) -> bool:
    _heading(console, "✓", "verify: every record accounted for")
    _deliver(stages)  # SQL showed the purchase before the writer had delivered it
    found = verify(stages.catalog, stages.files, stages.stream)
    table = Table("table", "read", "delivered", "dropped", "quarantined")
    for name in sorted({shard.table for shard in found.shards}):
        shards = [shard for shard in found.shards if shard.table == name]
        sums = (sum(getattr(s, what) for s in shards) for what in ("read", "delivered", "dropped", "quarantined"))
        table.add_row(name, *(f"{value:,}" for value in sums))
    console.print(table)
    for problem in found.problems:
        console.print(f"   {problem}")
    console.print("   nothing lost, nothing twice" if found.ok else "   NOT all records are accounted for")
    return found.ok


def _where(folder: Path, console: Console, seconds: float) -> None:
    state = folder / "caudal-data"
    console.print(f"\n{seconds:.0f} s in all. On disk:")
    for path, what in (
        (folder / "pipeline.py", "the pipeline: tables and recommender"), (state / "store.db", "items and stream"),
        (state / "catalog.db", "catalog"), (state / "lake", "the lake's files"), (state / "models", "models"),
    ):
        console.print(f"   {path}  {what}")
    console.print(f"\nGo on there:  cd {folder} && caudal query \"SELECT count(*) FROM sale\"")
    console.print("(with its pipeline.py unchanged, another `caudal demo` begins this folder anew)")
