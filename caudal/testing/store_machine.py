"""Compares a store with the one in memory, call by call, over calls that Hypothesis makes up."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from caudal.errors import CaudalError
from caudal.ingest.changes import decode_change
from caudal.ingest.store import ABSENT, PRESENT, Delete, Put, Store, Update, open_store
from caudal.ingest.store.memory import MemoryStore
from caudal.ingest.store.port import Write
from caudal.ingest.stream import Stream, open_stream

_FUTURE = 4_102_444_800_000_000
"""Later than any live write, in microseconds since 1970."""

KEYS = {"t": ("a",), "u": ("a", "b")}
_parts = st.sampled_from(["", "x", "x\x00", "xy", 0, -1, 10, Decimal("0.5"), b"", b"\xff"])
_values = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.decimals(-9, 9, places=2) | st.text(max_size=3) | st.binary(max_size=3)
)
_attributes = st.dictionaries(st.sampled_from("nmk"), _values | st.lists(_values, max_size=2), max_size=3)
_expects: st.SearchStrategy[Any] = st.sampled_from([None, None, None, ABSENT, PRESENT]) | _attributes.map(
    lambda given: {**given, "k": ABSENT} if len(given) > 2 else given
)


@st.composite
def _writes(draw: st.DrawFn) -> Write:
    table = draw(st.sampled_from([*KEYS, "t", "t", "missing"]))
    key = [draw(_parts) for _ in KEYS.get(table, ("a",))]
    kind = draw(st.sampled_from([Put, Put, Update, Delete]))
    if kind is Put:
        item = dict(zip(KEYS.get(table, ("a",)), key, strict=True)) | draw(_attributes)
        return Put(table, item, draw(_expects), draw(st.booleans()), draw(st.sampled_from([None, None, 1, 2, _FUTURE])))
    if kind is Delete:
        return Delete(table, key, draw(_expects), draw(st.sampled_from(["user", "ttl"])))
    add = draw(st.dictionaries(st.sampled_from("nm"), st.integers(-2, 2) | st.just(Decimal("0.1")), max_size=1))
    return Update(table, key, draw(_attributes), add, draw(st.lists(st.sampled_from("nmkc"), max_size=2)), draw(_expects))


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except CaudalError as error:
        return type(error)


def _changes(stream: Stream, table: str) -> list[list[tuple[Any, ...]]]:
    """Of each shard, what its changes say beside id and time."""
    found = []
    for shard in stream.ends(table):
        run = stream.read(table, shard, 0)
        changes = [decode_change(run.raw(n), KEYS[table]) for n in range(len(run))]
        found.append([(change.op, change.key, change.before, change.after, change.reason) for change in changes])
    return found


def compare_with_memory(fresh_url: Callable[[], str], examples: int = 60) -> None:
    """Do the same to a store at a fresh URL and to one in memory; they must answer alike and end alike."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            url = fresh_url()
            self.model = MemoryStore()
            self.real: Store = open_store(url)
            self.stream = open_stream(url)
            for table, key in KEYS.items():
                self.real.declare(table, key, 2)
                self.model.declare(table, key, 2)

        @rule(writes=st.lists(_writes(), min_size=1, max_size=4))
        def write(self, writes: list[Write]) -> None:
            real, model = (_outcome(partial(store.write, writes)) for store in (self.real, self.model))
            if isinstance(real, list):
                assert [id if not id else "done" for id in real] == [id if not id else "done" for id in model]
            else:
                assert isinstance(model, type)

        @rule(a=_parts, b=_parts)
        def get(self, a: Any, b: Any) -> None:
            assert self.real.get("t", [a]) == self.model.get("t", [a])
            assert self.real.get("u", [a, b]) == self.model.get("u", [a, b])

        @rule(
            table=st.sampled_from(list(KEYS)),
            prefix=st.lists(_parts, max_size=2),
            low=st.none() | _parts,
            high=st.none() | _parts,
            limit=st.integers(1, 3),
            after=st.none() | st.lists(_parts, min_size=1, max_size=2),
            reverse=st.booleans(),
        )
        def query(self, table: str, **how: Any) -> None:
            assert _outcome(lambda: self.real.query(table, **how)) == _outcome(lambda: self.model.query(table, **how))

        @invariant()
        def items_and_changes_are_alike(self) -> None:
            for table in KEYS:
                assert list(self.real.scan(table, page=2)) == list(self.model.scan(table))
                assert _changes(self.stream, table) == _changes(self.model.stream, table)

        def teardown(self) -> None:
            self.stream.close()
            self.real.close()

    run_state_machine_as_test(Machine, settings=settings(
        max_examples=examples, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
    ))
