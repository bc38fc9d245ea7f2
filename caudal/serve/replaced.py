"""The items that changes replaced, as records of their own, from whichever form the changes have."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa

from caudal.forms import Form
from caudal.ingest.changes import encode_put
from caudal.records import Records

REMEMBERED = 200_000
"""Event ids that are remembered, to know a repeat."""

_NULL = msgspec.Raw(b"null")  # a union with None would refuse every object


class _Own(msgspec.Struct):
    id: str
    time: int
    before: msgspec.Raw = _NULL


class _Images(msgspec.Struct):
    ApproximateCreationDateTime: msgspec.Raw
    OldImage: msgspec.Raw = _NULL


class _Dynamodb(msgspec.Struct):
    eventID: msgspec.Raw
    eventName: str
    dynamodb: _Images


class _Payload(msgspec.Struct):
    op: str
    source: msgspec.Raw
    before: msgspec.Raw = _NULL


class _Debezium(msgspec.Struct):
    payload: _Payload
    schema: msgspec.Raw = _NULL


_own = msgspec.json.Decoder(_Own).decode
_dynamodb = msgspec.json.Decoder(_Dynamodb).decode
_payload = msgspec.json.Decoder(_Payload).decode
_debezium = msgspec.json.Decoder(_Debezium).decode


def replaced(records: Records, form: Form) -> Records:
    """The items that puts replaced; what cannot be read replaced nothing."""
    mark, read = _READERS.get(form, _READERS["caudal"])
    found = []
    for index in range(len(records)):
        raw = records.raw(index)
        if mark in raw:
            try:
                made = read(raw)
            except msgspec.DecodeError:
                continue
            found += [made] if made else []
    return Records.of(records.shard, records.first, found)


def _of_caudal(raw: bytes) -> bytes | None:
    wire = _own(raw)
    return encode_put(wire.id, wire.time, bytes(wire.before), None) if wire.before != _NULL else None


def _of_dynamodb(raw: bytes) -> bytes | None:
    wire = _dynamodb(raw)
    if wire.eventName != "MODIFY" or wire.dynamodb.OldImage == _NULL:
        return None
    return b'{"eventID":%b,"eventName":"INSERT","dynamodb":{"ApproximateCreationDateTime":%b,"NewImage":%b}}' % (
        bytes(wire.eventID), bytes(wire.dynamodb.ApproximateCreationDateTime), bytes(wire.dynamodb.OldImage),
    )


def _of_debezium(raw: bytes) -> bytes | None:
    try:
        wire = _debezium(raw)
    except msgspec.ValidationError:
        wire = _Debezium(_payload(raw))
    if wire.payload.op != "u" or wire.payload.before == _NULL:
        return None
    return b'{"schema":%b,"payload":{"op":"u","source":%b,"after":%b}}' % (
        bytes(wire.schema), bytes(wire.payload.source), bytes(wire.payload.before),
    )


_READERS: dict[str, tuple[bytes, Callable[[bytes], bytes | None]]] = {
    "caudal": (b'"before":', _of_caudal), "dynamodb": (b'"OldImage"', _of_dynamodb), "debezium": (b'"before"', _of_debezium),
}
"""Form to what a record with an earlier image contains, and to how that is read."""


class Repeats:
    """Knows events that were seen at another place of the stream; of reading one place again it thinks nothing."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def without(self, rows: pa.Table) -> pa.Table:
        """The rows of events that are new."""
        names = ("_event_id", "_shard", "_position")
        kept = np.ones(len(rows), bool)
        for index, (id, *place) in enumerate(zip(*(rows[name].to_pylist() for name in names), strict=True)):
            kept[index] = self._places.setdefault(id, tuple(place)) == tuple(place)
        while len(self._places) > REMEMBERED:
            self._places.popitem(last=False)
        return rows if kept.all() else rows.filter(pa.array(kept))
