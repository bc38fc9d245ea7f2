"""AWS's event stream: answers that go on, a frame an event (`application/vnd.amazon.eventstream`).

A frame is: its length, the headers' length, their CRC-32; headers; payload; the CRC-32 of all that. Numbers are big-endian.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from caudal.gateway.faults import as_aws

_TEXT = 7
"""Header type: text."""


def frames(events: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Each event, `{its name: JSON value}`, as a frame; first the one that says that the answer begins."""
    yield frame({":message-type": "event", ":event-type": "initial-response", ":content-type": "application/json"}, b"{}")
    try:
        for event in events:
            ((name, value),) = event.items()
            headers = {":message-type": "event", ":event-type": name, ":content-type": "application/json"}
            yield frame(headers, msgspec.json.encode(value))
    except Exception as error:  # the answer has begun: what goes wrong now is its last event
        known = as_aws(error)
        headers = {":message-type": "exception", ":exception-type": known.code, ":content-type": "application/json"}
        yield frame(headers, msgspec.json.encode({"message": str(known)}))


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame."""
    packed = b"".join(
        bytes([len(name)]) + name.encode() + struct.pack(">BH", _TEXT, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return message + struct.pack(">I", zlib.crc32(message))
