"""What every stream and store must do whose producers can be held back."""

from collections.abc import Collection
from typing import Any

import pytest

from caudal.errors import Throttled
from caudal.ingest.store import Delete, Put, Store
from caudal.ingest.stream import Stream, SupportsBackpressure, SupportsGate


class Guard:
    """A gate that remembers who came, and closes when it is told to."""

    def __init__(self) -> None:
        self.closed, self.came = False, set[str]()

    def __call__(self, names: Collection[str]) -> None:
        self.came |= set(names)
        if self.closed:
            raise Throttled("closed on purpose", hint="try again")


def _guarded(back_end: Any) -> Guard:
    if not isinstance(back_end, SupportsGate):
        pytest.skip("holds nobody back")
    guard = Guard()
    back_end.admit_by(guard)
    return guard


def _records(*sizes: int) -> list[tuple[bytes, bytes]]:
    return [(b"%d" % n, b"x" * size) for n, size in enumerate(sizes)]


class StreamHeldBack:
    """A part of `StreamSuite`."""

    def test_what_the_gate_refuses_is_not_written_and_is_written_when_it_opens(self, stream: Stream) -> None:
        guard = _guarded(stream)
        before, guard.closed = stream.ends("clicks"), True
        with pytest.raises(Throttled):
            stream.append("clicks", _records(1))
        assert stream.ends("clicks") == before
        guard.closed = False
        stream.append("clicks", _records(1))
        assert sum(ends.next for ends in stream.ends("clicks").values()) == 1
        assert guard.came == {"clicks"}

    def test_what_waits_is_counted_in_bytes_from_any_position(self, stream: Stream) -> None:
        if not isinstance(stream, SupportsBackpressure):
            pytest.skip("does not say how much it holds")
        assert stream.waiting_bytes("clicks", {}) == 0
        for _ in range(3):
            stream.append("clicks", _records(100, 20_000, 3, 4_000))
        assert stream.waiting_bytes("clicks", {}) == 3 * 24_103
        assert stream.waiting_bytes("clicks", stream.now("clicks")) == 0
        half = stream.now("clicks")
        stream.append("clicks", _records(10, 10, 10, 10, 10, 10))
        assert stream.waiting_bytes("clicks", half) == 60
        assert stream.free_bytes() > 0

    def test_what_was_trimmed_does_not_wait(self, stream: Stream) -> None:
        if not isinstance(stream, SupportsBackpressure) or not hasattr(stream, "trim"):
            pytest.skip("drops nothing")
        stream.create("one", 1)
        for size in (100, 200, 300):
            stream.append("one", _records(size))
        stream.trim("one", {0: 2})
        assert stream.waiting_bytes("one", {}) == stream.waiting_bytes("one", {0: 2}) == 300


class StoreHeldBack:
    """A part of `StoreSuite`."""

    def test_a_write_that_the_gate_refuses_changes_nothing(self, store: Store, stream: Stream) -> None:
        store.put("stock", {"sku": "tea", "count": 1})
        guard = _guarded(store)
        before, guard.closed = stream.ends("stock"), True
        for write in (Put("stock", {"sku": "tea", "count": 2}), Delete("stock", ["tea"])):
            with pytest.raises(Throttled):
                store.write([write])
        with pytest.raises(Throttled):
            store.write([Put("stock", {"sku": "new"}), Put("line", {"order_id": "1", "number": 1})])
        assert guard.came == {"stock", "line"}
        assert stream.ends("stock") == before
        assert list(store.scan("stock")) == [{"sku": "tea", "count": 1}]
        guard.closed = False
        store.delete("stock", ["tea"])
        assert store.get("stock", ["tea"]) is None
