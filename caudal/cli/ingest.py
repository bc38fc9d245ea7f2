"""`caudal ingest`: change records of another system into a table's stream."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from caudal.cli.screen import bytes_bar, note_once, say, show_json
from caudal.cli.session import Json, opened
from caudal.errors import UsageError


def ingest(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="A table that is declared with a form.")],
    files: Annotated[list[Path], typer.Argument(help="JSON: one record a line, or one behind the other; also as .gz or .zst.")],
    exported: Annotated[str, typer.Option(
        metavar="TIME", help="When a full DynamoDB export was made, if no manifest beside it says so.",
    )] = "",
    json: Json = False,
) -> None:
    """Append the change records of files to a table's stream, each as it came.

    Takes DynamoDB's records as Kinesis delivers them, Debezium's, plain JSON, Kinesis records (aggregated or not), events
    of a Lambda function, and both kinds of DynamoDB export. A file may be ingested again: events that are there already
    count once, but for plain JSON, which has no event ids. What is damaged goes to quarantine with the next `caudal flush`.

    Example: caudal ingest orders records.jsonl
    """
    from caudal.ingest.importer.ingest import ingest_file

    time, appended = _time(exported), 0
    with opened(context) as stages:
        contract = stages.table(table).contract
        for file in files:
            with bytes_bar(file.name) as progress:
                appended += ingest_file(file, contract, stages.stream, exported=time, progress=progress,
                                        waits=note_once())
    if json:
        show_json({"table": table, "files": [str(file) for file in files], "appended": appended})
    else:
        say(f"{table}: {appended:,} records appended")


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--exported {text}: not a time", hint="write it like 2026-01-31T12:00:00Z") from None
    return made if made.tzinfo is not None else made.replace(tzinfo=UTC)
