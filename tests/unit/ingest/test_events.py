"""Events: facts appended to a stream, all of a call or none."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from caudal.contract import Column, Contract
from caudal.errors import InvalidItem, NotFound
from caudal.ingest.changes import decode_change
from caudal.ingest.events import EventLog
from caudal.ingest.stream import open_stream

CONTRACT = Contract(
    "views", (Column("user", "string"), Column("sku", "string"), Column("price", "decimal", precision=9, scale=2))
)


@pytest.fixture
def stream():
    stream = open_stream("memory:")
    stream.create("views", 4)
    return stream


def read(stream):
    """Of each shard, what its events say."""
    runs = [stream.read("views", shard, 0) for shard in stream.ends("views")]
    return [[decode_change(run.raw(n), ()) for n in range(len(run))] for run in runs]


def test_events_of_one_first_column_keep_their_order(stream):
    log = EventLog(stream, CONTRACT)
    for n in range(40):
        log.append([{"user": f"u{n % 5}", "n": n}, {"user": f"u{n % 5}", "n": n + 0.5}])
    shards = read(stream)
    for user in range(5):
        found = [[event.after["n"] for event in shard if event.after["user"] == f"u{user}"] for shard in shards]
        assert sorted(map(len, found)) == [0, 0, 0, 16]
        assert max(found) == sorted(max(found))


@pytest.mark.parametrize("event", [{}, {"user": None}, {"user": 1.5}, {"user": True}, {"user": ["a"]}, {"sku": "a"}])
def test_an_event_without_a_first_column_is_kept_all_the_same(stream, event):
    EventLog(stream, CONTRACT).append([event])
    assert [found.after for shard in read(stream) for found in shard] == [event]


def test_ids_are_those_of_the_events(stream):
    ids = EventLog(stream, CONTRACT).append([{"user": "u", "n": n} for n in range(3)])
    assert [event.event_id for shard in read(stream) for event in shard] == ids
    assert len(set(ids)) == 3


def test_values_are_exact(stream):
    event = {"user": "u", "price": Decimal("12345678901234567890.12"), "at": datetime(2026, 1, 1, tzinfo=UTC)}
    EventLog(stream, CONTRACT).append([event])
    (kept,) = (found.after for shard in read(stream) for found in shard)
    assert kept == {**event, "at": "2026-01-01T00:00:00.000000Z"}


def test_one_that_cannot_be_held_leaves_none(stream):
    log = EventLog(stream, CONTRACT)
    for bad in ({"user": "u", "x": float("nan")}, {"user": "\ud800"}):
        with pytest.raises(InvalidItem):
            log.append([{"user": "u"}, bad])
    assert log.append([]) == []
    assert read(stream) == [[], [], [], []]


def test_a_stream_that_is_not_there_is_not_found():
    with pytest.raises(NotFound):
        EventLog(open_stream("memory:"), CONTRACT).append([{"user": "u"}])
