"""What change records come wrapped in: Kinesis records, events of a Lambda function, lines of a DynamoDB export."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import datetime

import msgspec

from caudal.errors import UsageError
from caudal.forms import Form
from caudal.ingest.stream.kpl import KplError, user_records
from caudal.ingest.transform.form import UNREADABLE

_NONE = msgspec.Raw(b"")


class _Kinesis(msgspec.Struct):
    data: str


class _Document(msgspec.Struct):
    """The members by which an envelope is told."""

    Records: list[msgspec.Raw] = []
    kinesis: _Kinesis | None = None  # a record of a Lambda event
    Data: str = ""  # a record as GetRecords answers it
    SequenceNumber: str = ""
    PartitionKey: str = ""
    Item: msgspec.Raw = _NONE  # a line of a full export
    Metadata: msgspec.Raw = _NONE  # a line of an incremental export
    Keys: msgspec.Raw = _NONE
    NewImage: msgspec.Raw = _NONE
    OldImage: msgspec.Raw = _NONE


class _Number(msgspec.Struct):
    N: str


class _Metadata(msgspec.Struct):
    WriteTimestampMicros: _Number


_document = msgspec.json.Decoder(_Document)
_metadata = msgspec.json.Decoder(_Metadata)


def unwrapped(document: bytes, form: Form, exported: datetime | None) -> Iterator[bytes]:
    """The records that a JSON document wraps; itself if it wraps none, or none that can be read.

    `exported` is the time of a full export, whose lines do not say it. Raises UsageError if it is missing.
    """
    records = _read(document).Records
    for record in [bytes(record) for record in records] or [document]:
        yield from _unwrapped(record, form, exported)


def _unwrapped(record: bytes, form: Form, exported: datetime | None) -> list[bytes]:
    seen = _read(record)
    if seen.kinesis is not None:
        return _of_kinesis(seen.kinesis.data) or [record]
    if seen.Data and seen.SequenceNumber and seen.PartitionKey:
        return _of_kinesis(seen.Data) or [record]
    if form == "dynamodb" and seen.Item:
        return [_snapshot(record, seen, exported)]
    if form == "dynamodb" and seen.Metadata:
        return [_written(record, seen)]
    return [record]


def _read(document: bytes) -> _Document:
    """The document's members; none of what is no such document."""
    try:
        return _document.decode(document)
    except UNREADABLE:
        return _Document()


def _of_kinesis(data: str) -> list[bytes]:
    """The user records in base64; a damaged aggregate whole, and nothing if it is not base64."""
    try:
        raw = base64.b64decode(data, validate=True)
    except ValueError:
        return []
    try:
        return user_records(raw)
    except KplError:
        return [raw]


def _snapshot(line: bytes, seen: _Document, exported: datetime | None) -> bytes:
    """An item of a full export, as if it had been inserted when the export was made."""
    if exported is None:
        raise UsageError("a full export's lines do not say when it was made",
                         hint="add --exported TIME: exportTime in its manifest-summary.json")
    time = round(exported.timestamp() * 1e6)
    return _change(b"%d %b" % (time, line), b"INSERT", time, b"", bytes(seen.Item))


def _written(line: bytes, seen: _Document) -> bytes:
    """An item of an incremental export; of one that was deleted there may be but its key."""
    try:
        time = int(_metadata.decode(seen.Metadata).WriteTimestampMicros.N)
    except (*UNREADABLE, ValueError):
        return line
    old, new = bytes(seen.OldImage), bytes(seen.NewImage)
    if not new:
        return _change(line, b"REMOVE", time, old or bytes(seen.Keys), b"")
    return _change(line, b"MODIFY" if old else b"INSERT", time, old, new)


def _change(identity: bytes, name: bytes, time: int, old: bytes, new: bytes) -> bytes:
    """A change record in DynamoDB's form, known by the digest of what makes it itself."""
    images = b"".join(b',"%b":%b' % (key, image) for key, image in ((b"OldImage", old), (b"NewImage", new)) if image)
    id = hashlib.blake2b(identity.strip(), digest_size=16).hexdigest().encode()
    return (
        b'{"eventID":"export-%b","eventName":"%b","dynamodb":{"ApproximateCreationDateTime":%d,'
        b'"ApproximateCreationDateTimePrecision":"MICROSECOND"%b}}' % (id, name, time, images)
    )
