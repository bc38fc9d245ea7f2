"""`caudal apply`: make the lake's tables what the pipeline file says."""

import typer

from caudal.cli.plan import Drop, planned, show_plan
from caudal.cli.screen import note, say
from caudal.cli.session import Json


def apply(context: typer.Context, drop: Drop = None, json: Json = False) -> None:
    """Do what `caudal plan` shows: declared renames, and drops that are named here.

    All of it, or nothing if anything is refused: then the exit code is 1. Files are not rewritten: earlier ones are read
    under the new names and types. Parts of a running `caudal up` start again with today's pipeline file by themselves.

    Example: caudal apply --drop sale.note
    """
    from caudal.plan import apply_plan

    with planned(context, drop) as (found, catalog):
        show_plan(found, json)
        if not found.ok:
            note("caudal: nothing was applied")
            raise typer.Exit(1)
        apply_plan(catalog, found)
    changed = sum(table.new + len(table.changes) for table in found.tables)
    if changed and not json:
        say("applied")
