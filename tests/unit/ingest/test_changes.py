"""Changes as records: one line each, read back equal, and anything else is refused as no change."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.errors import DataError
from caudal.ingest.changes import Stamp, decode_change, encode_delete, encode_event, encode_put
from caudal.ingest.items import encode_item
from caudal.records import Change
from caudal.testing.values import items


@given(items, st.none() | items)
def test_a_put_comes_back(row, before):
    record = encode_put("e-1", 1767225661573241, encode_item({**row, "id": 7}), None if before is None else encode_item(before))
    assert record.count(b"\n") == 1 and record.endswith(b"\n")
    assert decode_change(record, ("id",)) == Change("put", (7,), before, {**row, "id": 7}, 1767225661573241, "e-1")


@given(items, st.text(max_size=9))
def test_a_delete_comes_back_with_its_reason(row, reason):
    record = encode_delete("e-1", 5, encode_item({**row, "id": "a"}), reason)
    assert record.count(b"\n") == 1 and record.endswith(b"\n")
    assert decode_change(record, ("id",)) == Change("delete", ("a",), {**row, "id": "a"}, None, 5, "e-1", reason)


def test_an_event_is_a_row_without_a_key():
    record = encode_event("e-1", 5, b'{"user":"u1"}')
    assert json.loads(record) == {"op": "event", "id": "e-1", "time": 5, "row": {"user": "u1"}}
    assert decode_change(record, ()).after == {"user": "u1"}


GOOD = encode_put("e-1", 5, b'{"id":1,"b":{"$bytes":"eA=="}}', b'{"id":1,"n":1.5}')


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\n",
        b"{}",
        b"null",
        b"[]",
        b"\xff",
        b'{"op":"frob","id":"a","time":1,"row":{"id":1}}',
        b'{"op":"put","id":"a","time":1}',
        b'{"op":"put","id":"a","time":1,"row":{}}',
        b'{"op":"put","id":"a","time":1,"row":[]}',
        b'{"op":"put","id":"a","time":1,"row":["$"]}',
        b'{"op":"put","id":"a","time":1,"row":null}',
        b'{"op":"put","id":"a","time":"1","row":{"id":1}}',
        b'{"op":"put","id":"a","time":1,"row":{"id":1},"before":5}',
        b'{"op":"put","id":"a","time":1,"row":{"id":1,"b":{"$bytes":7}}}',
        b'{"op":"put","id":"a","time":1,"row":{"id":1,"b":{"$bytes":"!"}}}',
        b'{"op":"put","id":"a","time":1,"row":{"id":1,"b":{"$dict":7}}}',
        b'{"op":"put","id":"a","time":1,"row":{"id":1e99999999999999999999}}',
        b'{"op":"put","id":"a","time":1,"row":{"id":' + b"[" * 9000 + b"]" * 9000 + b"}}",
        GOOD[:-3],
        GOOD + GOOD,
        b'{"op":"put","id":"a","time":1,"row":{"id":"\xff"}}',
        b'{"op":"put","id":"a","time":1,"row":{"id":1},"why":7}',
    ],
    ids=lambda record: ascii(record[-40:]),
)
def test_what_is_no_change_is_refused(record):
    with pytest.raises(DataError, match="not a change record"):
        decode_change(record, ("id",))


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_damaged_record_is_refused_or_read_and_never_anything_else(at, bytes_, cut):
    with contextlib.suppress(DataError):
        assert isinstance(decode_change(GOOD[:at] + bytes_ + GOOD[at + cut:], ("id",)), Change)


def test_ids_are_unique_and_times_never_go_back():
    stamps = [Stamp(), Stamp()]
    ids = [stamp.id() for _ in range(1000) for stamp in stamps]
    assert len(set(ids)) == 2000
    times = [stamps[0].time() for _ in range(1000)]
    assert times == sorted(times)
