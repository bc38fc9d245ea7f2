"""`caudal plan`: what the pipeline file would change, and whom that breaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.screen import note, say, show_json
from caudal.cli.session import Json, pipeline_file

if TYPE_CHECKING:
    from caudal.lake.catalog import Catalog
    from caudal.plan import Plan, PlannedChange, TablePlan, Use

Drop = Annotated[list[str] | None, typer.Option(
    metavar="TABLE.COLUMN", help="Hide a column that is no longer declared, and keep its data.",
)]


def plan(context: typer.Context, drop: Drop = None, json: Json = False) -> None:
    """Show what the pipeline file changes of the lake's tables, and who uses what is changed.

    Changes nothing. New columns that may be NULL and wider types apply by themselves; renames and drops when `caudal apply`
    is run; whatever else is refused, with the reason, and then the exit code is 1.

    Example: caudal plan
    """
    with planned(context, drop) as (found, _):
        show_plan(found, json)
    if not found.ok:
        raise typer.Exit(1)


@contextmanager
def planned(context: typer.Context, drop: list[str] | None) -> "Iterator[tuple[Plan, Catalog]]":
    """The plan, and the catalog that it is about: nothing is declared to it yet."""
    from caudal.lake.catalog import open_catalog
    from caudal.learn.recommender import deferring
    from caudal.loader import load_pipeline
    from caudal.plan import read_plan

    with deferring() as errors:
        pipeline, config = load_pipeline(pipeline_file(context))
    catalog = open_catalog(config.url("catalog"), pipeline.name)
    problems = [f"{error}; {error.hint}" for error in errors]
    try:
        yield read_plan(pipeline, catalog, pipeline_file(context).resolve().parent, drop or (), problems), catalog
    finally:
        catalog.close()


def show_plan(found: "Plan", json: bool) -> None:
    """Print a plan; what is refused goes to standard error."""
    if json:
        tables = [_as_dict(table) for table in found.tables]
        show_json({"ok": found.ok, "tables": tables, "left": found.left, "problems": found.problems})
        return
    for table in found.tables:
        _show(table)
    for name in found.left:
        say(f"{name}: no longer declared; its rows stay, and nothing more is delivered to it")
    for problem in found.problems:
        note(f"caudal: {problem}")
    if not found.left and not any(table.new or table.changes for table in found.tables):
        say("nothing to change: the lake is as the pipeline file says")


def _as_dict(table: "TablePlan") -> dict[str, Any]:
    return {"table": table.table.name, "new": table.new, "changes": [
        {**change.change._asdict(), "refused": change.refused, "used_by": [use._asdict() for use in change.used_by]}
        for change in table.changes
    ]}


def _show(table: "TablePlan") -> None:
    name = table.table.name
    if table.new:
        say(f"{name}: new, {len(table.table.contract.columns)} columns")
    for planned in table.changes:
        change, users = planned.change, [_use(use) for use in planned.used_by]
        if planned.refused:
            note(f"caudal: table {name}: {_why(planned)}")
        else:
            say(f"{name}: {_words(planned)}")
        for user in users:
            (note if planned.refused else say)(f"  used by {user}")
        if planned.refused and change.hint:
            note(f"  {change.hint}")


def _why(planned: "PlannedChange") -> str:
    change = planned.change
    if change.kind == "refused":
        return change.why
    what = f"{change.old_name} is renamed to {change.column}" if change.kind == "renamed" else f"{change.column} is to be hidden"
    return f"column {what}, and would break what reads it: change that first"


def _words(planned: "PlannedChange") -> str:
    change = planned.change
    types = change.after if change.before in ("", change.after) else f"{change.before} to {change.after}"
    return {
        "added": f"column {change.column} is added, {change.after}; earlier rows show NULL",
        "restored": f"column {change.column} is back with its data, {types}",
        "widened": f"column {change.column} is widened, {types}",
        "renamed": f"column {change.old_name} is renamed to {change.column}, {types}; its data is kept",
        "dropped": f"column {change.column} is hidden; its data is kept, and comes back when it is declared again",
        "refused": change.why,
    }[change.kind]


def _use(use: "Use") -> str:
    where = f" ({use.where})" if use.where else ""
    return f"{use.kind} {use.name}{where}" + ("" if use.certain else ", as it seems: it names the column")
