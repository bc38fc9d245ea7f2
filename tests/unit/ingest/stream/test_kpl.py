"""Aggregates of the Kinesis Producer Library."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.ingest.stream.kpl import MAGIC, KplError, user_records

GOOD = base64.b64decode("84mawgoCYzEKAmMyGhUIABoReyJvcmRlcl9pZCI6Im8xIn0aFQgBGhF7Im9yZGVyX2lkIjoibzIifV36li89/hOVQFAShZCevEo=")
BAD = base64.b64decode("84mawgoCYzEKAmMyGhUIABoReyJvcmRlcl9pZCI6Im8xIn0aFQgBGhF7Im9yZGVyX2lkIjoibzIifV36li89/hOVQFAShZCevLU=")


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def sealed(body):
    return MAGIC + body + hashlib.md5(body).digest()


def aggregate(records, keys=("c1",)):
    """As the library writes one: keys, then records with the index of their key, a hash key and a tag."""
    body = b"".join(field(1, key.encode()) for key in keys) + field(2, b"170141183460469231731687303715884105728")
    for n, data in enumerate(records):
        body += field(3, varint(1 << 3) + varint(n % len(keys)) + varint(2 << 3) + varint(0) + field(3, data) + field(4, field(1, b"tag")))
    return sealed(body)


def test_k05_aggregated_and_plain_records_are_taken_alike():
    assert user_records(GOOD) == [b'{"order_id":"o1"}', b'{"order_id":"o2"}']
    assert user_records(b'{"order_id":"o3"}') == [b'{"order_id":"o3"}']


def test_k04_an_aggregate_of_another_digest_is_not_parsed_at_all():
    with pytest.raises(KplError) as error:
        user_records(BAD)
    assert error.value.reason == "kpl_digest_mismatch"


@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.text(max_size=8), min_size=1, max_size=3))
def test_what_was_aggregated_comes_out_again(records, keys):
    assert user_records(aggregate(records, keys)) == records


@given(st.binary(max_size=40))
def test_no_bytes_of_the_right_digest_do_more_than_fail(body):
    try:
        found = user_records(sealed(body))
    except KplError as error:
        assert error.reason == "kpl_format"
    else:
        assert all(record in body for record in found)


@pytest.mark.parametrize("cut", [MAGIC, MAGIC + b"x" * 15])
def test_an_aggregate_that_is_cut_short_says_so(cut):
    with pytest.raises(KplError) as error:
        user_records(cut)
    assert error.value.reason == "kpl_format"
