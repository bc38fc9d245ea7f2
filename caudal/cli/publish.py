"""`caudal publish`: Iceberg tables brought up to date now."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from caudal.cli.screen import show_json, show_table, steps
from caudal.cli.session import Json, deliveries, opened
from caudal.errors import Conflict, UsageError

if TYPE_CHECKING:
    from caudal.lake.iceberg import Published, Publisher
    from caudal.pipeline import Stages

TRIES = 5
"""How often we start again from what a running publisher left."""


def publish(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="A table, or one of its deliveries; all if left out.")] = None,
    json: Json = False,
) -> None:
    """Bring Iceberg tables up to the newest version of the lake's.

    Only tables that are delivered as iceberg. Snapshots past iceberg.keep_snapshots are dropped. `caudal up` does both
    by itself. The location printed is what an engine without the catalog opens.

    Example: caudal publish
    """
    with opened(context) as stages, steps("publishing") as tell:
        wanted = iceberg_tables(stages, table)
        if not wanted:
            raise UsageError("no table is delivered as iceberg", hint='give one a Delivery("iceberg") in the pipeline file')
        found = published(stages, wanted, expire=True, tell=tell)
    if json:
        show_json([one._asdict() for one in found])
        return
    show_table(("table", "version", "files added", "files removed", "location"), [
        (one.table, str(one.version), str(one.added), str(one.removed), one.location) for one in found
    ], right=(1, 2, 3))


def iceberg_tables(stages: "Stages", table: str | None) -> list[str]:
    """Tables delivered as iceberg: all, or those of a table. Raises UsageError if a table's deliveries are all others."""
    every = deliveries(stages, table)
    wanted = [name for name, lake in every.items() if lake.format == "iceberg"]
    if table is not None and not wanted:
        formats = ", ".join(sorted({lake.format for lake in every.values()}))
        raise UsageError(f"table {table} is delivered as {formats}", hint='give it a Delivery("iceberg") in the pipeline file')
    return wanted


def published(
    stages: "Stages", names: Iterable[str], *, expire: bool = False, tell: Callable[[str], None] = lambda line: None
) -> list["Published"]:
    """Publish tables, beside a running publisher if need be."""
    from caudal.lake.iceberg import open_publisher

    publisher = open_publisher(stages.config, stages.pipeline.name, stages.catalog, stages.files)
    found = []
    try:
        for name in names:
            tell(name)
            found += _publish(publisher, name)
            if expire:
                publisher.expire(name)
    finally:
        publisher.close()
    return found


def _publish(publisher: "Publisher", name: str) -> list["Published"]:
    for _ in range(TRIES - 1):
        try:
            return publisher.publish(name)
        except Conflict:
            continue
    return publisher.publish(name)
