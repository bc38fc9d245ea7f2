"""`caudal rebuild`: a table of the lake made anew by today's transform, beside live traffic."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.masking import MASK
from caudal.cli.screen import note, say, show_json, steps
from caudal.cli.session import Json, opened
from caudal.errors import UsageError

if TYPE_CHECKING:
    from caudal.contract import Contract
    from caudal.lake.compare import Comparison
    from caudal.pipeline import Stages
    from caudal.rebuild import Range
    from caudal.records import Positions


def rebuild(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="A table of the lake, by its name in SQL.")],
    start: Annotated[str, typer.Option(
        "--from", metavar="PLACE", help="Where to begin: a time, or SHARD:POSITION,…; rows of before are taken over.",
    )] = "",
    stop: Annotated[str, typer.Option(
        "--to", metavar="PLACE", help="Where to end, likewise; rows from there on are taken over.",
    )] = "",
    compare: Annotated[bool, typer.Option("--compare", help="Show what is other than in the table.")] = False,
    examples: Annotated[int, typer.Option(help="With --compare: how many records to show.", min=0)] = 5,
    swap: Annotated[bool, typer.Option("--swap", help="Let it catch up, and put it in the place of the table.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Give it up.")] = False,
    json: Json = False,
) -> None:
    """Deliver all records of a table again, by today's transform and columns, into a shadow: TABLE__shadow.

    The table goes on as it is, and the shop with it; a rebuild that was stopped goes on when it is run again. Look at the
    shadow with SQL or --compare, then --swap it in, in one step, or --drop it. Records that have left the stream come from a
    table of the lake that has them as they were; if there is none, give --from.

    Example: caudal rebuild sale
    """
    from caudal.rebuild import open_for_rebuild

    if compare + swap + drop > 1 or ((start or stop) and (compare or swap or drop)):
        raise UsageError("one thing at a time: a range to rebuild, --compare, --swap or --drop", hint="caudal rebuild --help")
    with opened(context) as stages, steps("rebuilding") as tell:
        open_for_rebuild(stages, table)
        tell(table)
        if compare:
            _compare(stages, table, examples, json)
        elif swap:
            _swap(stages, table, json)
        elif drop:
            _drop(stages, table, json)
        else:
            _rebuild(stages, table, start, stop, json)


def _rebuild(stages: "Stages", table: str, start: str, stop: str, json: bool) -> None:
    from caudal.rebuild import rebuild as run

    done = run(stages, table, _range(stages, table, start, stop))
    if json:
        show_json(done)
        return
    say(f"{done.shadow}: {done.records:,} records made {done.rows:,} rows, {done.dropped:,} dropped, "
        f"{done.quarantined:,} quarantined")
    note(f"  see what differs: caudal rebuild {table} --compare; then --swap or --drop it")


def _swap(stages: "Stages", table: str, json: bool) -> None:
    from caudal.rebuild import swap_rebuilt

    version = swap_rebuilt(stages, table)
    if json:
        show_json({"table": table, "version": version})
    else:
        say(f"{table}: made anew, version {version:,}")


def _drop(stages: "Stages", table: str, json: bool) -> None:
    from caudal.rebuild import drop_rebuilt

    objects = drop_rebuilt(stages, table)
    if json:
        show_json({"table": table, "objects": objects})
    else:
        say(f"{table}: as it was; {objects:,} objects of its shadow removed")


def _compare(stages: "Stages", table: str, examples: int, json: bool) -> None:
    from caudal.rebuild import compare_rebuilt

    found = compare_rebuilt(stages, table, examples)
    personal = _personal(stages, table)
    for example in found.examples:
        example.before, example.after = _masked(example.before, personal), _masked(example.after, personal)
    if json:
        show_json({"table": table, "same": found.same, "comparison": found})
    else:
        _show(table, found)


def _personal(stages: "Stages", table: str) -> set[str]:
    """Columns whose values are not shown: of the table as it is, as it will be, and of its source."""
    known: list[Contract] = [stages.catalog.tables()[table].contract]
    for declared in stages.pipeline.tables.values():
        if table in declared.lake:
            known += [declared.contract, declared.lake[table].contract]
    return {name for contract in known for c in contract.columns if c.personal for name in (c.name, *c.old_names)}


def _masked(rows: list[dict[str, Any]], personal: set[str]) -> list[dict[str, Any]]:
    return [{name: MASK if name in personal and value is not None else value for name, value in row.items()} for row in rows]


def _show(table: str, found: "Comparison") -> None:
    compared = sum(found.until.values())
    if found.same:
        say(f"{table}: the same rows, of {compared:,} records")
        return
    say(f"{table}: of {compared:,} records {found.records:,} have other rows: "
        f"{found.added:,} added, {found.removed:,} removed, {found.changed:,} changed")
    for name, count in sorted(found.columns.items(), key=lambda one: -one[1]):
        say(f"  column {name}: {count:,} changed")
    for words, names in (("new", found.columns_added), ("gone", found.columns_removed)):
        if names:
            say(f"  columns that are {words}: {', '.join(names)}")
    for example in found.examples:
        say(f"  shard {example.shard}, position {example.position}")
        for sign, rows in (("-", example.before), ("+", example.after)):
            for row in rows:
                say(f"    {sign} {_line(row, example.before, example.after)}")


def _line(row: dict[str, Any], before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str:
    """A row; of one that changed, what did, after its first column."""
    from caudal.lake.formats.json import json_of

    if len(before) == len(after) == 1:
        first = next(iter(row), "")
        row = {name: value for name, value in row.items() if name == first or before[0][name] != after[0][name]}
    return json_of(row).decode()


def _range(stages: "Stages", table: str, start: str, stop: str) -> "Range | None":
    from caudal.rebuild import Range

    if not (start or stop):
        return None
    source = next((name for name, found in stages.pipeline.tables.items() if table in found.lake), table)
    first = _place(stages, source, "--from", start) if start else dict.fromkeys(stages.stream.ends(source), 0)
    return Range(first, _place(stages, source, "--to", stop) if stop else None)


def _place(stages: "Stages", source: str, option: str, text: str) -> "Positions":
    """Positions given as such, or those of a time."""
    from caudal.rebuild import positions_at

    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        return _positions(option, text)
    made = made if made.tzinfo is not None else made.replace(tzinfo=UTC)
    return positions_at(stages.stream, source, round(made.timestamp() * 1e6))


def _positions(option: str, text: str) -> "Positions":
    found = {}
    for part in text.split(","):
        shard, _, position = part.partition(":")
        if not (shard.strip().isdecimal() and position.strip().isdecimal()):
            raise UsageError(f"{option} {text}: neither a time nor SHARD:POSITION,…",
                             hint="write 2026-01-31T12:00:00Z, or 0:1500,1:900 as _shard and _position have them")
        found[int(shard)] = int(position)
    return found
