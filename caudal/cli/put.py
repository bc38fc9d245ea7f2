"""`caudal put`: one item, or one event."""

import sys
from typing import Annotated

import typer

from caudal.cli.screen import say, show_json
from caudal.cli.session import Json, opened
from caudal.errors import UsageError


def put(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="The table.")],
    item: Annotated[str, typer.Argument(metavar="JSON", help="The item, or the event; - reads it from standard input.")],
    json: Json = False,
) -> None:
    """Write one item, or append one event.

    An item replaces any of the same key.

    Example: caudal put product '{"product_id": "tea", "title": "Tea", "stock": 12}'
    """
    from caudal.forms import check_own

    read = _read(sys.stdin.read() if item == "-" else item)
    with opened(context) as stages:
        if stages.table(table).keyed:
            check_own(table, stages.table(table).contract.form)
            event_id = stages.store.put(table, read)
        else:
            [event_id] = stages.events(table).append([read])
    if json:
        show_json({"table": table, "event_id": event_id})
    else:
        say(f"{table}: written, event {event_id}")


def _read(text: str) -> dict[str, object]:
    from caudal.ingest.items import decode_item

    try:
        item = decode_item(text.encode())
    except (ValueError, AttributeError, UnicodeError, RecursionError):
        item = {}
        text = ""
    if not text or not isinstance(item, dict):
        raise UsageError("the item is not a JSON object", hint="""write '{"column": "value"}', in single quotes""")
    return item
