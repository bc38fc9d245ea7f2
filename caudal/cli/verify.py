"""`caudal verify`: does the lake account for every record?"""

from typing import Annotated

import typer

from caudal.cli.screen import note, say, show_json, show_table
from caudal.cli.session import Json, opened

COUNTS = ("read", "delivered", "dropped", "quarantined", "rows", "waiting")


def verify(
    context: typer.Context,
    deep: Annotated[bool, typer.Option("--deep", help="Compare with the stream and the history, record by record.")] = False,
    json: Json = False,
) -> None:
    """Recount every record from the lake's files.

    Per table and shard: records read = delivered + dropped + quarantined, each once, and each file as it was committed.
    The exit code is 1 if that is not so, if records left the stream before they were delivered, or if the lake holds objects
    that this catalog cannot explain. --deep looks up each
    record that the stream still holds by its id, and checks the files of older versions and the base of each current
    state.

    Example: caudal verify
    """
    from caudal.proof import prove
    from caudal.verify import verify as recount

    with opened(context) as stages:
        found = (prove if deep else recount)(stages.catalog, stages.files, stages.stream, stages.pipeline.name)
    if json:
        show_json({"ok": found.ok, "shards": found.shards, "problems": found.problems})
    else:
        show_table(
            ("table", "shard", *COUNTS),
            [(s.table, str(s.shard), *(f"{getattr(s, what):,}" for what in COUNTS)) for s in found.shards],
            right=range(1, 8),
        )
    for problem in found.problems:
        note(f"caudal: {problem}")
    if not found.ok:
        raise typer.Exit(1)
    if not json:
        waiting = sum(shard.waiting for shard in found.shards)
        more = f"; {waiting:,} wait to be delivered" if waiting else ""
        say(f"every record is accounted for: nothing lost, nothing twice{more}")
