"""`caudal query`: SQL over the lake."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from caudal.cli.screen import note
from caudal.cli.session import opened
from caudal.errors import UsageError

Format = Literal["table", "csv", "json", "jsonl", "parquet"]

ON_SCREEN = 1000
"""Rows of a table on screen, unless --limit says otherwise."""

SUFFIXES: dict[str, Format] = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def query(
    context: typer.Context,
    sql: Annotated[
        str | None, typer.Argument(help="One SELECT, SHOW, DESCRIBE or EXPLAIN; - reads standard input.", show_default=False)
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the SQL from a file.")] = None,
    format: Annotated[Format | None, typer.Option(help="By default what --output's name says, else a table.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead of the screen.")] = None,
    limit: Annotated[int | None, typer.Option(help="Show only so many rows; 0 for all.", min=0)] = None,
    at: Annotated[list[str] | None, typer.Option(metavar="TABLE=VERSION", help="Read a table as of a version.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="LITERAL", help="The next ?'s value: 5, or \"'tea'\".")] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Ask the lake, in Athena's dialect of SQL.

    `<table>` is the latest state of each key, `<table>_history` every change. A table on screen ends after 1000 rows
    unless --limit says otherwise; other formats have all rows.

    Example: caudal query "SELECT count(*) FROM sale" --format csv
    """
    from caudal.cli.rows import write_rows

    chosen = _format(format, output, json)
    text = _sql(sql, file)
    versions = dict(map(version_of, at or ()))
    with opened(context) as stages:
        rows = stages.query.execute(text, versions=versions, parameters=param or ())
    wanted = ON_SCREEN if limit is None and chosen == "table" and output is None else limit or len(rows)
    write_rows(rows.slice(0, wanted), chosen, output)
    if len(rows) > wanted:
        note(f"{len(rows) - wanted:,} more rows: --limit 0 shows all")


def _format(format: Format | None, output: Path | None, json: bool) -> Format:
    if output is not None and format is None and not json and output.suffix not in SUFFIXES:
        raise UsageError(f"{output}: its name does not say what format it is to have", hint="add --format, or end it in .csv")
    chosen: Format = format or ("json" if json else SUFFIXES[output.suffix] if output else "table")
    if output is not None and chosen == "table":
        raise UsageError(f"{output}: a table is for the screen", hint="choose another --format")
    if json and chosen != "json":
        raise UsageError(f"--json and --format {chosen}", hint="choose one of them")
    if chosen == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is nothing for a screen", hint="write it to a file: --output rows.parquet")
    return chosen


def _sql(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        raise UsageError("give one query" if sql is None else "two queries are given", hint="as an argument, or with --file")
    if file is not None:
        try:
            return file.read_text("utf-8")
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}", hint="check the path") from None
        except UnicodeDecodeError:
            raise UsageError(f"{file}: not UTF-8", hint="save it as UTF-8") from None
    return sys.stdin.read() if sql == "-" else str(sql)


def version_of(text: str) -> tuple[str, int]:
    """The table and version of `--at`. Raises UsageError."""
    table, equals, version = text.partition("=")
    if not (equals and table and version.isdecimal()):
        raise UsageError(f"--at {text}: not TABLE=VERSION", hint="write --at sale=3; `caudal tables` shows the versions")
    return table, int(version)
