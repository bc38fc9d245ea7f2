"""`caudal import`: a file into a table, as an application would write it."""

from pathlib import Path
from typing import Annotated

import typer

from caudal.cli.screen import bytes_bar, note, note_once, say, show_json
from caudal.cli.session import Json, opened


def import_file(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="The table.")],
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet; CSV and JSON also as .gz or .zst.")],
    format: Annotated[str, typer.Option(help="csv, json or parquet, if the file's name does not say.")] = "",
    locale: Annotated[str, typer.Option(help="How the numbers of a CSV are written: en_US, de_DE, …")] = "",
    json: Json = False,
) -> None:
    """Write each line of a file to a table.

    Lines that do not fit go to quarantine, and then the exit code is 1. Items that are there already, exactly so,
    are left alone: an import that was stopped can be run again. Events are
    always added.

    Example: caudal import sale sales.jsonl
    """
    from caudal.ingest.importer import import_file as run

    with opened(context) as stages, bytes_bar(file.name) as progress:
        contract = stages.table(table).contract
        done = run(file, contract, stages.store, stages.stream, format=format, locale=locale, progress=progress,
                   waits=note_once())
    if json:
        show_json({"table": table, "file": str(file), "written": done.written, "unchanged": done.unchanged,
                   "quarantined": done.rejected})
    else:
        say(f"{table}: {done.written:,} written, {done.unchanged:,} unchanged, {done.rejected:,} quarantined")
    if done.rejected:
        note(f"caudal: {done.rejected:,} lines of {file.name} do not fit {table}")
        note("  see them after `caudal flush`: caudal quarantine list")
        raise typer.Exit(1)
