"""`caudal resume`: go on with a table that its error budget has paused."""

from typing import Annotated

import typer

from caudal.cli.screen import say, show_json
from caudal.cli.session import Json, deliveries, opened


def resume(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="A table, or one of its deliveries.")],
    json: Json = False,
) -> None:
    """Deliver a table again that its error budget has paused.

    What the stream holds now is delivered whatever it is: records that still do not fit go to quarantine, and do not
    count. What comes later is held against the budget again.

    Example: caudal resume sale
    """
    done = []
    with opened(context) as stages:
        for name, lake in deliveries(stages, table).items():
            paused = bool(stages.catalog.flow(name).paused)
            if paused:
                stages.catalog.resume(name, stages.stream.now(lake.source))
            done.append({"table": name, "resumed": paused})
    if json:
        show_json(done)
        return
    for one in done:
        say(f"{one['table']}: {'goes on' if one['resumed'] else 'was not paused'}")
