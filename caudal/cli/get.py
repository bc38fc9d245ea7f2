"""`caudal get`: one item, as the store has it now."""

from typing import Annotated

import typer

from caudal.cli.screen import note, write
from caudal.cli.session import key_values, keyed, opened


def get(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="The table.")],
    key: Annotated[list[str], typer.Argument(help="The values of its key columns, in their order.")],
) -> None:
    """Print one item as JSON.

    It is as the store has it now, with all its attributes. If there is none, the exit code is 1.

    Example: caudal get sale ann 1
    """
    from caudal.ingest.items import encode_item

    with opened(context) as stages:
        item = stages.store.get(table, key_values(keyed(stages, table), key))
    if item is None:
        note(f"caudal: {table} has no item of that key")
        raise typer.Exit(1)
    write(encode_item(item) + b"\n")
