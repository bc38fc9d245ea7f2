"""Compares a catalog with the one in memory, call by call, over calls that Hypothesis makes up."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from caudal.contract import Column
from caudal.errors import CaudalError
from caudal.lake.catalog import Catalog, LakeTable, Lease, Replay, Snapshot, open_catalog
from caudal.lake.catalog.memory import MemoryCatalog
from caudal.records import Commit, DataFile, Positions

NAMES = ("orders", "other")
_tables = st.sampled_from(["orders", "orders", "other", "missing"])
_owners = st.sampled_from(["me", "you"])
_positions: st.SearchStrategy[Positions] = st.dictionaries(st.integers(0, 1), st.integers(0, 3), max_size=2)
_outcomes = st.sampled_from(["delivered", "dropped", "imported", "discarded"])
_replays = st.lists(st.builds(Replay, st.integers(0, 1), st.integers(0, 3), _outcomes), max_size=2)
_columns = st.lists(
    st.builds(Column, st.sampled_from("abc"), st.sampled_from(["int", "string"]), st.booleans(),
              old_names=st.sampled_from([(), (), ("d",), ("e",)])),
    max_size=2, unique_by=lambda column: column.name,
) | st.just([Column("d", "int", nullable=True)])


def _snapshot(catalog: Catalog, name: str, version: int | None) -> Snapshot:
    return replace(catalog.snapshot(name, version), time=0)


def compare_with_memory(
    fresh_url: Callable[[], str], table: LakeTable, a_commit: Callable[..., Commit], a_file: Callable[[str], DataFile]
) -> None:
    """Do the same to a catalog at a fresh URL and to one in memory; they must answer alike and end alike."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.made = 0
            self.real: Catalog = open_catalog(fresh_url(), "shop")
            self.model = MemoryCatalog()
            self.both(lambda catalog: [catalog.declare(replace(table, name=name)) for name in NAMES])

        def both(self, call: Callable[[Catalog], Any]) -> Any:
            outcomes = []
            for catalog in (self.real, self.model):
                try:
                    outcomes.append(call(catalog))
                except CaudalError as error:
                    outcomes.append(type(error))
            assert outcomes[0] == outcomes[1]
            return outcomes[0]

        @rule(name=_tables, columns=_columns)
        def declare(self, name: str, columns: list[Column]) -> None:
            more = replace(table.contract, columns=(*table.contract.columns, *columns))
            self.both(lambda catalog: catalog.declare(replace(table, name=name, contract=more)))

        @rule(name=_tables, columns=_columns, drop=st.lists(st.sampled_from(["a", "b", "note"]), max_size=2, unique=True))
        def evolve(self, name: str, columns: list[Column], drop: list[str]) -> None:
            more = replace(table.contract, columns=(*table.contract.columns, *columns))
            self.both(lambda catalog: catalog.evolve(replace(table, name=name, contract=more), drop))

        @rule(name=_tables, owner=_owners, seconds=st.sampled_from([0, 600]))
        def lease(self, name: str, owner: str, seconds: float) -> None:
            self.both(lambda catalog: catalog.lease(name, owner, seconds))

        @rule(name=_tables, owner=_owners)
        def release(self, name: str, owner: str) -> None:
            self.both(lambda catalog: catalog.release(name, owner))

        @rule(name=_tables, epoch=st.integers(0, 4), since=_positions, until=_positions, files=st.integers(0, 2))
        def commit_anything(self, name: str, epoch: int, since: Positions, until: Positions, files: int) -> None:
            self.both(lambda catalog: catalog.commit(name, a_commit(epoch, since, until, files, files)))

        @rule(name=st.sampled_from(["orders", "other"]), more=st.integers(0, 2), again=st.booleans())
        def commit_in_turn(self, name: str, more: int, again: bool) -> None:
            lease = self.both(lambda catalog: catalog.lease(name, "me", 0))
            if not isinstance(lease, Lease):
                return
            epoch, since = lease
            commit = a_commit(epoch, since, {0: since.get(0, 0) + more, 1: since.get(1, 0) + 1}, more, 1)
            for _ in range(1 + again):
                self.both(lambda catalog: catalog.commit(name, commit))

        @rule(name=_tables, replays=_replays)
        def replay(self, name: str, replays: list[Replay]) -> None:
            self.both(lambda catalog: catalog.replay(name, replays, [a_file(f"r{len(replays)}")], 1, [a_file("audit")]))

        @rule(name=_tables, accepted=st.none() | _positions)
        def pause_or_resume(self, name: str, accepted: Positions | None) -> None:
            self.both(lambda catalog: catalog.pause(name, "why") if accepted is None else catalog.resume(name, accepted))

        @rule(name=_tables, first=st.integers(0, 3), files=st.integers(0, 3), more=st.integers(0, 1))
        def rewrite(self, name: str, first: int, files: int, more: int) -> None:
            there = self.model.snapshot("orders" if name == "missing" else name).files[first : first + files]
            new = [replace(a_file(f"m{self.fresh()}"), rows=sum(file.rows for file in there) + more)]
            self.both(lambda catalog: catalog.rewrite(name, [file.path for file in there] or ["no"], new))

        @rule(name=_tables, version=st.integers(0, 6), files=st.integers(0, 2))
        def keep_base(self, name: str, version: int, files: int) -> None:
            made = [a_file(f"b{self.fresh()}") for _ in range(files)]
            self.both(lambda catalog: catalog.keep_base(name, version, made))

        @rule(name=_tables, keep=st.integers(0, 4), recent=st.booleans(), pretend=st.booleans())
        def expire(self, name: str, keep: int, recent: bool, pretend: bool) -> None:
            before = 0 if recent else 1 << 60
            self.both(lambda catalog: catalog.expire(name, keep, before, pretend))

        @rule(name=_tables, path=st.sampled_from(["tables/r1.parquet", "tables/m1.parquet", "tables/0.1-1.1-0.parquet"]))
        def disown(self, name: str, path: str) -> None:
            self.both(lambda catalog: catalog.disown(name, [path]))

        def fresh(self) -> int:
            self.made += 1
            return self.made

        @invariant()
        def they_hold_the_same(self) -> None:
            self.both(lambda catalog: catalog.tables())
            self.both(lambda catalog: [
                (catalog.replayed(name), catalog.quarantine(name), catalog.audit(name), catalog.flow(name)._replace(since=0))
                for name in NAMES
            ])
            self.both(lambda catalog: [(catalog.totals(name), catalog.named(name)) for name in NAMES])
            self.both(lambda catalog: [(catalog.versions(name)[:2], catalog.version_at(name, 1 << 60)) for name in NAMES])
            self.both(lambda catalog: [[info._replace(time=0) for info in catalog.commits(name)] for name in NAMES])
            for name in NAMES:
                for version in (None, *range(-1, len(self.model.commits(name)) + 2)):
                    snapshot = partial(_snapshot, name=name, version=version)
                    self.both(snapshot)

        def teardown(self) -> None:
            self.real.close()

    run_state_machine_as_test(Machine, settings=settings(
        max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
    ))
