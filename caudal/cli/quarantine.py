"""`caudal quarantine`: records that could not become rows."""

import base64
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.masking import as_text, masked
from caudal.cli.screen import note, printable, say, show_json, show_table
from caudal.cli.session import Json, deliveries, opened
from caudal.cli.status import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caudal.contract import Contract
    from caudal.ingest.writer.replay import Replayed
    from caudal.pipeline import Stages
    from caudal.records import Rejected

HELP = """List, show and replay records that could not become rows.

Example: caudal quarantine list
"""

app = typer.Typer(no_args_is_help=True, help=HELP, rich_markup_mode="rich" if sys.stdout.isatty() else None)

Table = Annotated[str, typer.Argument(help="A table, or one of its deliveries.")]
Reason = Annotated[str | None, typer.Option(help="Only records of this reason.")]


@app.command("list")
def list_(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="A table, or one of its deliveries; all if left out.")] = None,
    json: Json = False,
) -> None:
    """Count what is in quarantine, by table and reason.

    Shows no values.

    Example: caudal quarantine list
    """
    from caudal.ingest.writer.replay import waiting

    found = []
    with opened(context) as stages:
        for name in deliveries(stages, table):
            counts: Counter[str] = Counter()
            oldest: dict[str, int] = {}
            for record in waiting(stages.catalog, stages.files, name):
                counts[record.reason] += 1
                oldest[record.reason] = min(record.arrived, oldest.get(record.reason, record.arrived))
            found += [
                {"table": name, "reason": reason, "records": n, "oldest": oldest[reason]} for reason, n in counts.most_common()
            ]
    if json:
        show_json(found)
    elif not found:
        say("nothing is in quarantine")
    else:
        show_table(("table", "reason", "records", "oldest"), [
            (str(one["table"]), str(one["reason"]), f"{one['records']:,}", moment(int(str(one["oldest"])))) for one in found
        ], right=(2,))


@app.command()
def show(
    context: typer.Context,
    table: Table,
    reason: Reason = None,
    shard: Annotated[int | None, typer.Option(help="Only records of this shard.", min=0)] = None,
    position: Annotated[int | None, typer.Option(help="Only records at this position.", min=0)] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Show personal columns too; with --json the bytes, in base64.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many records.", min=1)] = 10,
    json: Json = False,
) -> None:
    """Show records as they came, with reason and place.

    Values of personal columns are masked.

    Example: caudal quarantine show sale --reason wrong_type
    """
    found: list[dict[str, Any]] = []
    with opened(context) as stages:
        for name in deliveries(stages, table):
            contract = stages.pipeline.tables[stages.catalog.tables()[name].source].contract
            for record in _wanted(stages, name, _filter(reason, shard, position)):
                if len(found) == limit:
                    break
                found.append(_describe(name, record, contract, raw))
    if json:
        show_json(found)
        return
    for one in found:
        say(f"{one['table']}, shard {one['shard']}, position {one['position']}, arrived {moment(one['arrived'])}: "
            f"{one['reason']}: {printable(one['detail'])}")
        text = one["text"] if one["text"] is not None else (
            f"({one['bytes']} bytes, in which personal columns cannot be told apart: --raw shows them)"
        )
        say(f"  {printable(text)}")
    if not found:
        say("no such record is in quarantine")


@app.command()
def replay(context: typer.Context, table: Table, reason: Reason = None, json: Json = False) -> None:
    """Try records again with today's contract and transform.

    What still does not fit stays, and then the exit code is 1. A record keeps its place in the stream: replayed
    twice is the same as once.

    Example: caudal quarantine replay sale
    """
    with opened(context) as stages:
        found = {name: _replay(stages, name, reason) for name in deliveries(stages, table)}
    if json:
        show_json([{"table": name, "delivered": done.delivered, "dropped": done.dropped, "still_rejected": done.still_rejected,
                    "reasons": done.reasons} for name, done in found.items()])
    else:
        for name, done in found.items():
            reasons = ", ".join(f"{why} {n:,}" for why, n in done.reasons.most_common())
            say(f"{name}: {done.delivered:,} delivered, {done.dropped:,} dropped, {done.still_rejected:,} still in quarantine"
                f"{f' ({reasons})' if reasons else ''}")
    left = sum(done.still_rejected for done in found.values())
    if left:
        note(f"caudal: {left:,} records still do not fit; caudal quarantine show {table}")
        raise typer.Exit(1)


def _filter(reason: str | None, shard: int | None = None, position: int | None = None) -> "Callable[[Rejected], bool]":
    return lambda record: (
        reason in (None, record.reason) and shard in (None, record.shard) and position in (None, record.position)
    )


def _wanted(stages: "Stages", name: str, wanted: "Callable[[Rejected], bool]") -> "Iterator[Rejected]":
    from caudal.ingest.writer.replay import waiting

    return filter(wanted, waiting(stages.catalog, stages.files, name))


def _describe(name: str, record: "Rejected", contract: "Contract", raw: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "table": name, "shard": record.shard, "position": record.position, "arrived": record.arrived, "reason": record.reason,
        "detail": record.detail, "bytes": len(record.raw), "text": as_text(record.raw) if raw else masked(record.raw, contract),
    }
    return {**shown, "base64": base64.b64encode(record.raw).decode()} if raw else shown


def _replay(stages: "Stages", name: str, reason: str | None) -> "Replayed":
    from caudal.ingest.transform import open_transform
    from caudal.ingest.writer.replay import replay

    lake = stages.catalog.tables()[name]
    table = stages.pipeline.tables[lake.source]
    transform = open_transform(stages.config.url("transform"), table.contract, lake.contract, table.deliveries[name].transform)  # type: ignore[arg-type]
    return replay(stages.catalog, stages.files, stages.pipeline.name, lake, transform, _filter(reason))
