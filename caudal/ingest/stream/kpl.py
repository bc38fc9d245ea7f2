"""The Kinesis Producer Library's aggregation: many user records in one of Kinesis.

`F3 89 9A C2`, a protocol buffer, and its MD5. Of the buffer, field 1 holds partition keys, field 3 the records, of which
field 3 is the data and field 1 the index of its key. (Source: amazon-kinesis-producer, aggregation-format.md.)
"""

import hashlib
from collections.abc import Iterator

from caudal.errors import DataError

MAGIC = b"\xf3\x89\x9a\xc2"
_DIGEST = 16
_KEYS, _RECORDS, _DATA = 1, 3, 3
_VARINT, _BYTES = 0, 2


class KplError(DataError):
    """An aggregate that is damaged; nothing of it is to be trusted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        """`kpl_digest_mismatch` or `kpl_format`."""


def user_records(data: bytes) -> list[bytes]:
    """The user records of one record of Kinesis: itself, unless it is an aggregate. Raises KplError."""
    if not data.startswith(MAGIC):
        return [data]
    if len(data) < len(MAGIC) + _DIGEST:
        raise KplError("kpl_format", "an aggregate of the Kinesis Producer Library is cut short")
    body, digest = data[len(MAGIC) : -_DIGEST], data[-_DIGEST:]
    if hashlib.md5(body, usedforsecurity=False).digest() != digest:
        raise KplError("kpl_digest_mismatch", "an aggregate of the Kinesis Producer Library has another MD5 than it says")
    try:
        found = []
        for field, value in _fields(body):
            if field == _RECORDS:
                members = dict(_fields(value))
                found.append(members[_DATA])
        return found
    except (KeyError, IndexError, ValueError):
        raise KplError("kpl_format", "an aggregate of the Kinesis Producer Library is no protocol buffer of records") from None


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each field that has bytes; the others are stepped over."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        size, place = _varint(message, place)
        if tag & 7 == _VARINT:
            continue
        if tag & 7 != _BYTES or place + size > len(message):
            raise ValueError("not a field of the aggregation format")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """The number at a place, and the place behind it. Raises IndexError, ValueError."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number without end")
