"""What travels through a delivery stream."""

from typing import NamedTuple


class Record(NamedTuple):
    """A record on its way to S3."""

    id: str
    """As the Lambda function sees it: unique in its delivery stream."""
    position: int
    """In its shard."""
    arrived: float
    """Seconds since 1970."""
    data: bytes
    raw: bytes
    """The record as it came."""
    keys: tuple[tuple[str, str], ...] = ()
    """What its function and its query say of it: partition keys and their values, or where in which table it belongs."""


Refused = tuple[str, str]
"""An error's code and message."""


class Failed(NamedTuple):
    """A record that cannot be delivered: it goes below the error prefix."""

    record: Record
    kind: str
    """The folder: `processing-failed`, …"""
    code: str
    message: str
    attempts: int
    prefix: str | None = None
    """The error prefix, if it has one of its own."""
