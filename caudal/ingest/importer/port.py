"""What a file's reader gives: blocks of items that fit the contract, and lines that do not."""

from dataclasses import dataclass, field
from typing import NamedTuple

from caudal.records import Item


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
