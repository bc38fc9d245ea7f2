"""`caudal drift`: what applications write that the contract does not know."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.screen import say, show_json, show_table
from caudal.cli.session import Json, opened
from caudal.cli.status import moment

if TYPE_CHECKING:
    from caudal.drift import Drift, Unknown


def drift(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="The table; all if left out.")] = None,
    limit: Annotated[int, typer.Option(help="Items, newest records, and rows, to look at in each table.", min=1)] = 10_000,
    json: Json = False,
) -> None:
    """Show attributes that the contract does not know, with types and times.

    Looks at items of the store, the newest records of the stream, and the rescue column of rows made of earlier ones. Of
    values only the shape is shown: x for a letter, 9 for a digit.

    Example: caudal drift sale
    """
    from caudal.drift import read_drift

    with opened(context) as stages:
        names = [stages.table(table).name] if table is not None else list(stages.pipeline.tables)
        found = [read_drift(stages, name, limit) for name in names]
    if json:
        show_json([_as_dict(one) for one in found])
        return
    for one in found:
        _show(one)


def _as_dict(one: "Drift") -> dict[str, Any]:
    return {**vars(one), "unknown": [{**vars(seen), "declare": seen.declare} for seen in one.unknown]}


def _show(one: "Drift") -> None:
    looked = f"{one.items:,} items, {one.records:,} records and {one.rows:,} earlier rows looked at"
    if not one.unknown:
        say(f"{one.table}: no unknown attribute; {looked}")
        return
    say(f"{one.table}: {looked}")
    show_table(
        ("  attribute", "items", "records", "rows", "types", "first seen", "last seen", "examples"),
        [_line(seen) for seen in one.unknown], right=(1, 2, 3),
    )
    for seen in one.unknown:
        say(f"  {_advice(seen)}")


def _line(seen: "Unknown") -> tuple[str, ...]:
    types = ", ".join(f"{kind} {n:,}" for kind, n in seen.types.most_common())
    return (f"  {seen.attribute}", f"{seen.items:,}", f"{seen.records:,}", f"{seen.rows:,}", types,
            moment(seen.first_seen), moment(seen.last_seen), "  ".join(seen.examples))


def _advice(seen: "Unknown") -> str:
    if seen.near:
        return f"{seen.attribute}: is it {seen.near}? Then mark that column renamed(\"{seen.attribute}\")"
    if seen.declare:
        return f"{seen.attribute}: for a column of its own, declare {seen.declare}"
    return f"{seen.attribute}: comes in several types, or in one that has no plain column; decide how to declare it"
