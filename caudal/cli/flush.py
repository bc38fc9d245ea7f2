"""`caudal flush`: deliver now what is in the stream."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from caudal.cli.publish import published
from caudal.cli.screen import say, show_json, steps
from caudal.cli.session import Json, deliveries, opened
from caudal.errors import Paused, Unavailable

if TYPE_CHECKING:
    from caudal.pipeline import Stages
    from caudal.records import Positions

POLL_SECONDS = 0.02
TRY_SECONDS = 0.5
"""How often we try to deliver ourselves while another writer holds the table: it may be gone."""


def flush(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="A table, or one of its deliveries; all if left out.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a running writer.", min=0)] = 60.0,
    json: Json = False,
) -> None:
    """Deliver all that was written until now.

    Batches are delivered whatever their size or age. Delivers here if nobody else does; else asks the running
    writer (`caudal up`) and waits for it. Tables that are delivered as iceberg are published.

    Example: caudal flush sale
    """
    done, stopped = [], None
    with opened(context) as stages, steps("flushing") as tell:
        until = time.monotonic() + timeout
        for name in deliveries(stages, table):
            tell(name)
            try:
                before = stages.catalog.totals(name).quarantined
                done.append(_flush(stages, name, until))
                done[-1]["quarantined"] = stages.catalog.totals(name).quarantined - before
            except Paused as error:  # the other tables are not
                stopped = stopped or error
        if iceberg := [name for name, lake in deliveries(stages, table).items() if lake.format == "iceberg"]:
            tell("publishing")
            published(stages, iceberg)
    if json:
        show_json(done)
    for one in () if json else done:
        by = "" if one["by"] == "caudal flush" else " by the running writer"
        aside = f", {one['quarantined']:,} of them to quarantine" if one["quarantined"] else ""
        say(f"{one['table']}: {one['records']:,} records delivered{by}{aside}")
    if stopped is not None:
        raise stopped


def _flush(stages: "Stages", name: str, until: float) -> dict[str, object]:
    """Until the table has what the stream holds now."""
    source = stages.pipeline.tables[stages.catalog.tables()[name].source].name
    goal = stages.stream.now(source)
    waiting = _waiting(stages, name, goal)
    writer = stages.writer(name)
    try:
        while True:
            try:
                return {"table": name, "records": writer.flush(), "by": "caudal flush"}
            except Unavailable as error:
                if _asked(stages, name, goal, min(until, time.monotonic() + TRY_SECONDS)):
                    return {"table": name, "records": waiting, "by": "running writer"}
                if time.monotonic() >= until:
                    left = _waiting(stages, name, goal)
                    raise Unavailable(f"table {name}: {left:,} records still wait: {error}", hint=error.hint) from None
    finally:
        writer.close()


def _asked(stages: "Stages", name: str, goal: "Positions", until: float) -> bool:
    """Ask the running writer, and say whether it reached the goal."""
    from caudal.lake.catalog import SupportsFlush

    if isinstance(stages.catalog, SupportsFlush):
        stages.catalog.ask_flush(name)
    while _waiting(stages, name, goal):
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _waiting(stages: "Stages", name: str, goal: "Positions") -> int:
    """Records below the goal that are not in the lake."""
    reached = stages.catalog.snapshot(name).positions
    return sum(max(0, offset - reached.get(shard, 0)) for shard, offset in goal.items())
