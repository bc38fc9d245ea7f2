"""`caudal delete`: remove one item."""

from typing import Annotated

import typer

from caudal.cli.screen import say, show_json
from caudal.cli.session import Json, key_values, keyed, opened


def delete(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="The table.")],
    key: Annotated[list[str], typer.Argument(help="The values of its key columns, in their order.")],
    json: Json = False,
) -> None:
    """Remove one item.

    The change travels on like any other. Nothing happens if there is none.

    Example: caudal delete sale ann 1
    """
    with opened(context) as stages:
        event_id = stages.store.delete(table, key_values(keyed(stages, table), key))
    if json:
        show_json({"table": table, "event_id": event_id})
    else:
        say(f"{table}: {'nothing to delete' if event_id is None else f'deleted, event {event_id}'}")
