"""`caudal status`: is data flowing?"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from caudal.cli.screen import note, say, show_json, show_table
from caudal.cli.session import Json, opened

if TYPE_CHECKING:
    from caudal.status import Status


def status(context: typer.Context, json: Json = False) -> None:
    """Show how each table and model is doing.

    Measured from the data: lag is how long the oldest record that is not yet in the lake has been waiting, and if records
    wait, the reason is told. The exit code is 1 if a table's lag is above endpoint.stale_seconds, if its error budget has
    paused it, if so much waits that its writes are refused, or if a part of `caudal up` fails.

    Example: caudal status
    """
    from caudal.status import read_status

    with opened(context) as stages:
        found = read_status(stages)
    ok = not (found.stale or found.errors or any(table.paused or table.full >= 1 for table in found.tables))
    if json:
        show_json({"ok": ok, **_as_dict(found)})
    else:
        _show(found)
    if not ok:
        raise typer.Exit(1)


def _as_dict(found: "Status") -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(found)
    for table, shown in zip(found.tables, plain["tables"], strict=True):  # type: ignore[call-overload]
        shown["waiting"] = table.waiting
    return plain


def _show(found: "Status") -> None:
    show_table(
        ("table", "arrived", "waiting", "quarantined", "unknown", "rate/s", "lag s", "newest in store", "in stream", "in lake"),
        [(t.table, f"{t.arrived:,}", f"{t.waiting:,}", f"{t.quarantined:,}", "" if t.unknown is None else f"{t.unknown:,}",
          f"{t.records_per_second:,.1f}", f"{t.lag_seconds:,.1f}",
          moment(t.newest_in_store), moment(t.newest_in_stream), moment(t.newest_in_lake))
         for t in found.tables],
        right=range(1, 7),
    )
    for name, version in found.models.items():
        say(f"recommender {name}: " + (f"model version {version} is live" if version else "no model yet"))
    for source in dict.fromkeys(table.source for table in found.tables if table.unknown):
        say(f"{source} gets members that its contract does not know: caudal drift {source}")
    for one in found.rebuilds:
        left = f"{one.waiting:,} records to go" if one.behind else "ready to be compared, swapped or dropped"
        say(f"{one.table} is being rebuilt since {moment(one.began)}: {one.records:,} records, {left}")
    for part, error in found.errors.items():
        note(f"caudal: {part}: {error}")
    for table in found.tables:
        if table.table in found.stale and not table.paused:
            note(f"caudal: {table.table} is stale: its oldest record has waited {table.lag_seconds:,.0f} s, "
                 f"and endpoint.stale_seconds is {found.stale_seconds:g}")
        if table.paused:
            note(f"caudal: {table.table} is paused since {moment(table.paused_since)}")
        if table.reason:
            note(f"caudal: {table.table}: {table.reason}")


def moment(microseconds: int | None) -> str:
    """A time as text, UTC; nothing for none."""
    if not microseconds:
        return ""
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}"
