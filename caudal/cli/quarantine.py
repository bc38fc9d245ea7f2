"""`caudal quarantine`: records that could not become rows."""

import base64
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.masking import as_text, masked
from caudal.cli.picking import Contains, Position, Reason, Shard, Since, Until, picked
from caudal.cli.screen import note, printable, say, show_json, show_table
from caudal.cli.session import Json, deliveries, opened
from caudal.cli.status import moment
from caudal.errors import UsageError

if TYPE_CHECKING:
    from caudal.contract import Contract
    from caudal.ingest.writer.audit import Entry
    from caudal.ingest.writer.quarantine import By, Filter
    from caudal.ingest.writer.replay import Attempt, Edit, Replayed
    from caudal.pipeline import Stages
    from caudal.records import Rejected

HELP = """List, show, replay and discard records that could not become rows.

Example: caudal quarantine list
"""

app = typer.Typer(no_args_is_help=True, help=HELP, rich_markup_mode="rich" if sys.stdout.isatty() else None)

Table = Annotated[str, typer.Argument(help="A table, or one of its deliveries.")]
AnyTable = Annotated[str | None, typer.Argument(help="A table, or one of its deliveries; all if left out.")]
Raw = Annotated[bool, typer.Option("--raw", help="Show personal columns too; with --json the bytes, in base64.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would become of each record, and change nothing.")]


@app.command("list")
def list_(
    context: typer.Context, table: AnyTable = None,
    by: Annotated[str, typer.Option(help="Count by reason and by: shard, day or hour of arrival (UTC).")] = "reason",
    reason: Reason = None, since: Since = None, until: Until = None, contains: Contains = None, shard: Shard = None,
    limit: Annotated[int, typer.Option(help="At most so many lines a table.", min=1)] = 1000, json: Json = False,
) -> None:
    """Count what is in quarantine, by table and reason.

    Shows no values.

    Example: caudal quarantine list --since 2h --by shard
    """
    from caudal.ingest.writer.quarantine import count

    grouping = _by(by)
    wanted = picked(reason, since, until, contains, shard, None)
    found = []
    with opened(context) as stages:
        for name in deliveries(stages, table):
            found += [(name, one) for one in count(stages.catalog, stages.files, name, wanted, grouping)[:limit]]
    extra = () if grouping == "reason" else (grouping,)
    if json:
        show_json([{"table": name, "reason": one.reason, **dict.fromkeys(extra, one.group), "records": one.records,
                    "oldest": one.oldest, "newest": one.newest} for name, one in found])
    elif not found:
        say("nothing is in quarantine")
    else:
        show_table(("table", "reason", *extra, "records", "oldest", "newest"), [
            (name, one.reason, *([one.group] if extra else []), f"{one.records:,}", moment(one.oldest), moment(one.newest))
            for name, one in found
        ], right=(2 + len(extra),))


def _by(text: str) -> "By":
    for known in ("reason", "shard", "day", "hour"):
        if text == known:
            return known
    raise UsageError(f"--by {text}: not a grouping", hint="use reason, shard, day or hour")


@app.command()
def show(
    context: typer.Context, table: Table, reason: Reason = None, since: Since = None, until: Until = None,
    contains: Contains = None, shard: Shard = None, position: Position = None, raw: Raw = False,
    limit: Annotated[int, typer.Option(help="At most so many records.", min=1)] = 10, json: Json = False,
) -> None:
    """Show records as they came, with reason and place.

    Values of personal columns are masked.

    Example: caudal quarantine show sale --reason wrong_type
    """
    from caudal.ingest.writer.quarantine import waiting

    wanted = picked(reason, since, until, contains, shard, position)
    with opened(context) as stages:
        records = ((name, record) for name in deliveries(stages, table)
                   for record in waiting(stages.catalog, stages.files, name, wanted))
        found = [_describe(name, record, _source(stages, name), raw) for name, record in islice(records, limit)]
    if json:
        show_json(found)
        return
    for one in found:
        say(f"{one['table']}, shard {one['shard']}, position {one['position']}, arrived {moment(one['arrived'])}: "
            f"{one['reason']}: {printable(one['detail'])}")
        say(f"  {_text(one['text'], one['bytes'])}")
    if not found:
        say("no such record is in quarantine")


@app.command()
def replay(
    context: typer.Context, table: AnyTable = None, reason: Reason = None, since: Since = None, until: Until = None,
    contains: Contains = None, shard: Shard = None, position: Position = None, dry_run: DryRun = False,
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="COLUMN=VALUE", help="Set a column first, in each record.")
    ] = None,
    edit: Annotated[Path | None, typer.Option(metavar="FILE", help="Take the bytes of the one record from a file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Lines of an import replace items that the store holds "
                                            "otherwise by now.")] = False,
    limit: Annotated[int, typer.Option(help="Of --dry-run: show at most so many records a table.", min=1)] = 100,
    json: Json = False,
) -> None:
    """Try records again with today's contract and transform.

    What still does not fit stays, and then the exit code is 1. A record keeps its place in the stream: replayed
    twice is the same as once. Lines that `caudal import` rejected are written as the import would have. An edited record
    keeps its original: `caudal quarantine audit` shows both.

    Example: caudal quarantine replay sale
    """
    wanted = picked(reason, since, until, contains, shard, position)
    found, shown = {}, []
    with opened(context) as stages:
        for name in deliveries(stages, table):
            attempts: list[Attempt] = []
            found[name] = _replay(stages, name, wanted, _edit(stages, name, wanted, set, edit), overwrite, dry_run,
                                  lambda one, kept=attempts: kept.append(one) if len(kept) < limit else None)
            shown += [(name, one) for one in attempts if dry_run]
    if json:
        show_json([_result(name, done, [one for of, one in shown if of == name], dry_run) for name, done in found.items()])
    else:
        for name, one in shown:
            say(f"{name}, shard {one.record.shard}, position {one.record.position}: {_outcome(one)}")
        for name, done in found.items():
            say(f"{name}: {_summary(done, dry_run)}")
    left = sum(done.still_rejected for done in found.values())
    if any(done.imported for done in found.values()) and not dry_run:
        note("lines of an import are in the store now; `caudal flush` delivers them")
    if left:
        note(f"caudal: {left:,} records still do not fit; caudal quarantine show {table or next(iter(found))}")
        raise typer.Exit(1)


@app.command()
def discard(
    context: typer.Context, table: Table,
    note: Annotated[str, typer.Option(help="Why; kept for good.")],
    reason: Reason = None, since: Since = None, until: Until = None, contains: Contains = None, shard: Shard = None,
    position: Position = None, every: Annotated[bool, typer.Option("--all", help="All of the table's records.")] = False,
    dry_run: DryRun = False, json: Json = False,
) -> None:
    """Give records up, with the reason why.

    They count as dropped on purpose. Their bytes stay in the lake, and `caudal quarantine audit` shows what was
    discarded, when and why.

    Example: caudal quarantine discard sale --reason invalid_json --note "test data of the till"
    """
    from caudal.ingest.writer.quarantine import EVERY
    from caudal.ingest.writer.replay import discard as run

    wanted = picked(reason, since, until, contains, shard, position)
    if wanted == EVERY and not every:
        raise UsageError("which records?", hint="give --reason, --contains, …, or --all")
    if not note.strip():
        raise UsageError("--note is empty", hint="say why: it is all that will be known of it")
    with opened(context) as stages:
        done = {name: run(stages.catalog, stages.files, stages.pipeline.name, lake, wanted, note, dry_run=dry_run)
                for name, lake in deliveries(stages, table).items()}
    if json:
        show_json([{"table": name, "discarded": n, "dry_run": dry_run} for name, n in done.items()])
        return
    for name, n in done.items():
        say(f"{name}: {n:,} {'would be ' if dry_run else ''}discarded")


@app.command()
def audit(
    context: typer.Context, table: AnyTable = None, raw: Raw = False,
    limit: Annotated[int, typer.Option(help="At most so many of the latest.", min=1)] = 100, json: Json = False,
) -> None:
    """Show which records were edited or discarded, and when.

    Values of personal columns are masked.

    Example: caudal quarantine audit sale
    """
    from collections import deque

    from caudal.ingest.writer.audit import read_audit

    with opened(context) as stages:
        found = [_entry(name, one, _source(stages, name), raw) for name in deliveries(stages, table)
                 for one in deque(read_audit(stages.catalog, stages.files, name), limit)]
    if json:
        show_json(found)
        return
    for one in found:
        say(f"{one['table']}, shard {one['shard']}, position {one['position']}: {one['outcome']} at {moment(one['time'])}"
            f"{': ' + printable(one['note']) if one['note'] else ''}")
        for what in ("original", "edited"):
            if what in one:
                say(f"  {what}: {_text(one[what], one[what + '_bytes'])}")
    if not found:
        say("no record was edited or discarded")


def _source(stages: "Stages", name: str) -> "Contract":
    return stages.pipeline.tables[stages.catalog.tables()[name].source].contract


def _text(text: str | None, size: int) -> str:
    return printable(text) if text is not None else (
        f"({size} bytes, in which personal columns cannot be told apart: --raw shows them)"
    )


def _describe(name: str, record: "Rejected", contract: "Contract", raw: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "table": name, "shard": record.shard, "position": record.position, "arrived": record.arrived, "reason": record.reason,
        "detail": record.detail, "bytes": len(record.raw),
        "text": as_text(record.raw) if raw else masked(record.raw, contract, record.origin),
    }
    return {**shown, "base64": base64.b64encode(record.raw).decode()} if raw else shown


def _entry(name: str, one: "Entry", contract: "Contract", raw: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"table": name, "shard": one.shard, "position": one.position, "time": one.time,
                             "outcome": one.outcome, "note": one.note}
    for what, data in (("original", one.original), ("edited", one.edited)):
        if data is not None:
            shown[what] = as_text(data) if raw else masked(data, contract, one.origin)
            shown[f"{what}_bytes"] = len(data)
    return shown


def _edit(stages: "Stages", name: str, wanted: "Filter", set: list[str] | None, edit: Path | None) -> "Edit | None":
    from caudal.ingest.importer.edit import set_columns

    if set and edit:
        raise UsageError("--set and --edit", hint="choose one of them")
    if edit is not None:
        if wanted.shard is None or wanted.position is None:
            raise UsageError("--edit is for one record", hint="say which: --shard N --position N")
        if not edit.is_file():
            raise UsageError(f"{edit}: no such file", hint="check the path")
        data = edit.read_bytes()
        return lambda record: data
    if not set:
        return None
    for one in set:
        if "=" not in one:
            raise UsageError(f"--set {one}: not COLUMN=VALUE", hint="write --set quantity=2")
    return set_columns(_source(stages, name), {column: value for column, _, value in (one.partition("=") for one in set)})


def _replay(
    stages: "Stages", name: str, wanted: "Filter", edit: "Edit | None", overwrite: bool, dry_run: bool, tell: Any
) -> "Replayed":
    from caudal.ingest.importer.again import lines
    from caudal.ingest.transform import open_transform
    from caudal.ingest.writer.replay import replay

    lake = stages.catalog.tables()[name]
    table = stages.pipeline.tables[lake.source]
    function: Any = table.deliveries[name].transform
    with closing(open_transform(
        stages.config.url("transform"), table.contract, lake.contract, function, stages.config
    )) as transform:
        return replay(stages.catalog, stages.files, stages.pipeline.name, lake, transform, wanted,
                      line=lines(table.contract, stages.store, overwrite=overwrite), edit=edit, dry_run=dry_run, tell=tell)


def _outcome(one: "Attempt") -> str:
    if one.outcome == "rejected":
        return f"would stay: {one.reason}: {printable(one.detail)}"
    return {"delivered": "would become rows", "dropped": "would be dropped by the transform",
            "imported": "would be written to the store"}[one.outcome]


def _summary(done: "Replayed", dry_run: bool) -> str:
    reasons = ", ".join(f"{why} {n:,}" for why, n in done.reasons.most_common())
    imported = f"{done.imported:,} written to the store, " if done.imported else ""
    return (f"{'would be ' if dry_run else ''}{done.delivered:,} delivered, {done.dropped:,} dropped, {imported}"
            f"{done.still_rejected:,} still in quarantine{f' ({reasons})' if reasons else ''}")


def _result(name: str, done: "Replayed", shown: "list[Attempt]", dry_run: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "table": name, "delivered": done.delivered, "dropped": done.dropped, "imported": done.imported,
        "still_rejected": done.still_rejected, "reasons": done.reasons, "dry_run": dry_run,
    }
    if dry_run:
        made["records"] = [{"shard": one.record.shard, "position": one.record.position, "outcome": one.outcome,
                            "reason": one.reason, "detail": one.detail} for one in shown]
    return made
