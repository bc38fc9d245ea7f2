"""What a file's reader gives: blocks of items that fit the contract, and lines that do not."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from caudal.contract import Column, Contract
from caudal.ingest.changes import Layout
from caudal.ingest.transform.values import Misfit, exact_value, json_text
from caudal.records import Item

JSON = Layout("json")


class BadLine(NamedTuple):
    """A line that could not become an item."""

    reason: str
    detail: str
    raw: bytes


@dataclass
class Block:
    """A part of a file."""

    read: int
    """Bytes of the file read so far."""
    total: int
    """Bytes of the file."""
    items: list[Item] = field(default_factory=list)
    rejected: list[BadLine] = field(default_factory=list)
    layout: Layout = field(default=JSON)
    """How to read the rejected lines again."""


def item_value(contract: Contract, column: Column, given: Any) -> Any:
    """What was given for a column, as an item has it. Raises Misfit if the column or the store cannot hold it."""
    if given is None and column.name in contract.key:
        raise Misfit("null_key", f"{column.name} is part of the key and has no value")
    made = exact_value(column, given, lambda _: None)
    if column.kind == "float" and made is not None and not (made == 0 or 1e-130 <= abs(made) < 1e126):
        raise Misfit("number_range", f"{column.name} is neither 0 nor of 1E-130 to 1E+126, and an item cannot hold it")
    return given if column.kind == "json" else made


def as_json(item: Item) -> bytes:
    """An item for people to look at, as near to JSON as it goes."""
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in item.items()}
    try:
        return json_text(plain).encode()
    except (TypeError, ValueError, RecursionError):
        return repr(plain).encode("utf-8", "replace")
