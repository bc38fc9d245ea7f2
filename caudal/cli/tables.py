"""`caudal tables`: what the lake holds."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.screen import say, show_json, show_table
from caudal.cli.session import Json, deliveries, opened

if TYPE_CHECKING:
    from caudal.contract import Column
    from caudal.lake.catalog import LakeTable
    from caudal.pipeline import Stages


def tables(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="A table, or one of its deliveries; all if left out.")] = None,
    json: Json = False,
) -> None:
    """Show the tables of the lake, with columns and types.

    Rows counts every change of a keyed table: what `<table>_history` shows.

    Example: caudal tables sale
    """
    with opened(context) as stages:
        found = [_describe(stages, name) for name in deliveries(stages, table)]
    if json:
        show_json(found)
        return
    for n, one in enumerate(found):
        if n:
            say()
        _show(one)


def _describe(stages: "Stages", name: str) -> dict[str, Any]:
    snapshot = stages.catalog.snapshot(name)
    lake: LakeTable = snapshot.table
    return {
        "table": name, "source": lake.source, "form": lake.contract.form, "format": lake.format, "compression": lake.compression,
        "key": lake.contract.key, "partition": [part.folder for part in lake.contract.partition],
        "version": snapshot.version, "files": len(snapshot.files), "rows": sum(file.rows for file in snapshot.files),
        "bytes": sum(file.bytes for file in snapshot.files),
        "columns": [_column(column, lake.contract.key) for column in lake.contract.columns],
        "hidden": [column.name for column in lake.hidden],
    }


def _column(column: "Column", key: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": column.name, "type": column.sql, "nullable": column.nullable, "key": column.name in key,
        "values": column.values, "personal": column.personal, "ttl": column.ttl,
    }


def _show(one: dict[str, Any]) -> None:
    kind = f"items by {', '.join(one['key'])}" if one["key"] else "events"
    stored = " ".join(filter(None, (one["format"], one["compression"])))
    folders = f", partitioned by {', '.join(one['partition'])}" if one["partition"] else ""
    origin = f", from {one['source']}" if one["source"] != one["table"] else ""
    fed = f", fed by {one['form']}" if one["form"] != "caudal" else ""
    say(f"{one['table']}: {kind}, in {stored}{folders}{origin}{fed}")
    say(f"  {one['rows']:,} rows, {one['files']:,} files, {one['bytes']:,} bytes, version {one['version']}")
    show_table(("  column", "type", ""), [(f"  {c['name']}", c["type"], _marks(c)) for c in one["columns"]])
    if one["hidden"]:
        say(f"  hidden, with their data kept: {', '.join(one['hidden'])}")


def _marks(column: dict[str, Any]) -> str:
    marks = [mark for mark in ("key", "personal", "ttl") if column[mark]]
    if column["nullable"]:
        marks.append("may be NULL")
    if column["values"]:
        marks.append(f"one of {', '.join(column['values'])}")
    return ", ".join(marks)
