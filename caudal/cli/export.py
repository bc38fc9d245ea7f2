"""`caudal export`: a query or a table as a file for somebody else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from caudal.cli.query import version_of
from caudal.cli.screen import note, say, show_json, steps
from caudal.cli.session import Json, opened
from caudal.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from caudal.lake.export import Form
    from caudal.pipeline import Pipeline

For = Literal["people", "tools", "sagemaker"]
Format = Literal["csv", "parquet", "jsonl"]

SUFFIXES: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def export(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="One SELECT, or the name of a table.")],
    file: Annotated[Path, typer.Argument(help="Where to: .csv, .parquet or .jsonl.")],
    format: Annotated[Format | None, typer.Option(help="If the file's name does not say.")] = None,
    reader: Annotated[For | None, typer.Option("--for", help="Who reads a CSV: people (no cell is a formula), tools (verbatim), "
                                               "or sagemaker (numbers alone, no header).")] = None,
    label: Annotated[str, typer.Option(help="For SageMaker: the column that comes first and may not be NULL.")] = "",
    personal: Annotated[bool, typer.Option("--personal", help="Write personal columns too, instead of ***.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    at: Annotated[list[str] | None, typer.Option(metavar="TABLE=VERSION", help="Read a table as of a version.")] = None,
    json: Json = False,
) -> None:
    """Write a query's rows, or a table's, to a file.

    The file is whole or not there. Columns that have the name of a personal one, and _rescued, are masked unless
    --personal is given; a query may leave them out, or give them another name on purpose.

    Example: caudal export sale sales.csv
    """
    from caudal.lake.export import export as run
    from caudal.lake.export import masked_columns

    form = _form(file, format, reader, label)
    versions = dict(map(version_of, at or ()))
    hidden: list[str] = []
    with opened(context) as stages, steps(file.name) as tell:
        names = set() if personal else _personal(stages.pipeline)

        def parts() -> "Iterator[pa.Table]":
            done = 0
            for part in stages.query.stream(_sql(what), versions=versions):
                hidden[:] = masked_columns(part.column_names, names)
                if hidden and form == "sagemaker":
                    raise UsageError(f"column {hidden[0]} is personal", hint="leave it out, or say --personal")
                yield part
                done += len(part)
                tell(f"{done:,} rows")

        rows = run(parts(), file, form, label=label, masked=names, force=force)
    if json:
        show_json({"file": str(file), "rows": rows, "bytes": file.stat().st_size, "masked": hidden})
        return
    say(f"{file}: {rows:,} rows, {file.stat().st_size:,} bytes")
    if hidden:
        note(f"{', '.join(hidden)}: personal, and masked; --personal writes them")


def _form(file: Path, format: Format | None, reader: For | None, label: str) -> "Form":
    chosen = format or SUFFIXES.get(file.suffix.lower())
    if chosen is None:
        raise UsageError(f"{file}: neither .csv, .parquet nor .jsonl", hint="say --format csv, parquet or jsonl")
    if reader is not None and chosen != "csv":
        raise UsageError(f"--for {reader} is a kind of CSV", hint="write to a .csv file")
    if label and reader != "sagemaker":
        raise UsageError("--label is for SageMaker's CSV", hint="add --for sagemaker")
    return reader or "people" if chosen == "csv" else chosen


def _sql(what: str) -> str:
    return f'SELECT * FROM "{what}"' if re.fullmatch(r"\w+", what) else what


def _personal(pipeline: "Pipeline") -> set[str]:
    """Names of personal columns of any table, in lower case; what the contract does not know may be personal as well."""
    from caudal.forms import RESCUED

    return {RESCUED} | {
        column.name.lower() for table in pipeline.tables.values()
        for contract in (table.contract, *(lake.contract for lake in table.lake.values()))
        for column in contract.columns if column.personal
    }
