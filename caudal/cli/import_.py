"""`caudal import`: a file into a table, as an application would write it."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from caudal.cli.screen import bytes_bar, note, note_once, say, show_json
from caudal.cli.session import Json, opened
from caudal.errors import UsageError


def import_file(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="The table.")],
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet; CSV and JSON also as .gz or .zst.")],
    format: Annotated[str, typer.Option(help="csv, json or parquet, if the file's name does not say.")] = "",
    locale: Annotated[str, typer.Option(help="How the numbers of a CSV are written: en_US, de_DE, …")] = "",
    as_of: Annotated[str, typer.Option(
        metavar="TIME", help="When the items were so: a time or `now`; by default when the file was last changed.",
    )] = "",
    json: Json = False,
) -> None:
    """Write each line of a file to a table.

    The shop may go on writing meanwhile: an item that was written or deleted after the time that the file is as of stays
    as it is. Items that are there already, exactly so, are left alone too: an import that was stopped can be run again.
    Events are always added. Lines that do not fit go to quarantine, and then the exit code is 1.

    Example: caudal import sale sales.jsonl --as-of 2026-01-31T12:00:00Z
    """
    from caudal.ingest.importer import import_file as run

    with opened(context) as stages, bytes_bar(file.name) as progress:
        contract = stages.table(table).contract
        done = run(file, contract, stages.store, stages.stream, format=format, locale=locale, as_of=_time(as_of),
                   progress=progress, waits=note_once())
    if json:
        show_json({"table": table, "file": str(file), "written": done.written, "unchanged": done.unchanged,
                   "kept": done.kept, "quarantined": done.rejected})
    else:
        kept = f" {done.kept:,} kept live," if done.kept else ""
        say(f"{table}: {done.written:,} written, {done.unchanged:,} unchanged,{kept} {done.rejected:,} quarantined")
        if done.kept:
            note("  kept live: written or deleted after the time that the file is as of; --as-of now takes the file's")
    if done.rejected:
        note(f"caudal: {done.rejected:,} lines of {file.name} do not fit {table}")
        note("  see them after `caudal flush`: caudal quarantine list")
        raise typer.Exit(1)


def _time(text: str) -> int | None:
    """A time of the command line, microseconds since 1970, UTC; None if none is given."""
    if text in ("", "now"):
        return time.time_ns() // 1000 if text else None
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--as-of {text}: not a time", hint="write it like 2026-01-31T12:00:00Z, or now") from None
    return round((given if given.tzinfo is not None else given.replace(tzinfo=UTC)).timestamp() * 1e6)
