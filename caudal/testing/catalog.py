"""What every catalog must do."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caudal.contract import Column, Contract, day
from caudal.errors import CaudalError, Conflict, ContractError, Fenced, NotFound, Unavailable
from caudal.lake.catalog import Catalog, LakeTable, Replay, SupportsFlush, open_catalog
from caudal.records import Commit, DataFile, Positions
from caudal.testing.catalog_changes import ChangedFilesSuite
from caudal.testing.catalog_evolution import CatalogEvolution
from caudal.testing.catalog_machine import compare_with_memory
from caudal.testing.catalog_quarantine import CatalogQuarantine
from caudal.testing.catalog_shadow import CatalogShadow
from caudal.testing.catalog_upkeep import CatalogUpkeep
from caudal.testing.processes import run_and_kill, run_together

COLUMNS = (
    Column("order_id", "string"), Column("cost", "decimal", precision=12, scale=2), Column("sold_at", "timestamp"),
    Column("channel", "string", values=("web", "shop")), Column("note", "string", nullable=True),
)
ORDERS = LakeTable("orders", Contract("orders", COLUMNS, ("order_id",), (day("sold_at"),)), "orders")

COMMIT_FOR_EVER = """
import sys
from itertools import count
from caudal.lake.catalog import open_catalog
from caudal.lake.catalog.owner import new_owner
from caudal.testing.catalog import a_commit
catalog = open_catalog(sys.argv[1], "shop")
epoch, positions = catalog.lease("orders", new_owner(), 600)
for n in count(positions.get(0, 0)):
    catalog.commit("orders", a_commit(epoch, {0: n}, {0: n + 1}, files=3, quarantine=2))
    print(n)
"""

COMMIT_TOGETHER = """
import sys, time
from caudal.errors import CaudalError
from caudal.lake.catalog import open_catalog
from caudal.lake.catalog.owner import new_owner
from caudal.testing.catalog import a_commit
catalog, owner = open_catalog(sys.argv[1], "shop"), new_owner()
until = time.monotonic() + 50
done = 0
while done < 15 and time.monotonic() < until:
    try:
        epoch, positions = catalog.lease("orders", owner, 0.01)
        catalog.commit("orders", a_commit(epoch, positions, {0: positions.get(0, 0) + 1}))
        done += 1
    except CaudalError:
        time.sleep(0.002)
print(done)
"""


def a_file(name: str) -> DataFile:
    """An object of the lake, as far as a catalog cares."""
    return DataFile(f"tables/{name}.parquet", (("sold_at_day", "2026-01-02"),), 5, 100, "ab" * 16)


def a_commit(epoch: int, since: Positions, until: Positions, files: int = 1, quarantine: int = 0) -> Commit:
    """A commit of ten records a file, one of them dropped, and five in each file of quarantine."""
    name = "-".join(f"{shard}.{offset}" for shard, offset in sorted(until.items()))
    return Commit(
        epoch,
        since,
        until,
        [a_file(f"{name}-{n}") for n in range(files)],
        [a_file(f"bad-{name}-{n}") for n in range(quarantine)],
        records=10 * files + 5 * quarantine,
        delivered=9 * files,
        dropped=files,
        quarantined=5 * quarantine,
        rows=9 * files,
        newest=1000 * sum(until.values()),
        dropped_by_shard={0: files},
    )


class CatalogSuite(CatalogUpkeep, CatalogEvolution, CatalogQuarantine, ChangedFilesSuite, CatalogShadow):
    """Subclass as `TestXCatalog`, say where a fresh one is, and every promise is checked."""

    scheme: str
    processes = True
    """Whether other processes can open it."""

    @abstractmethod
    def url(self, folder: Path) -> str:
        """The URL of a catalog that nobody has used; the same for the same folder."""

    @pytest.fixture
    def catalog(self, tmp_path: Path) -> Iterator[Catalog]:
        """A catalog with one table."""
        catalog = open_catalog(self.url(tmp_path), "shop")
        catalog.declare(ORDERS)
        yield catalog
        catalog.close()

    def test_a_table_comes_back_as_it_was_declared(self, catalog: Catalog) -> None:
        events = LakeTable("clicks", Contract("clicks", (Column("at", "timestamp"),)), "clicks", "csv", "gzip")
        catalog.declare(events)
        assert catalog.tables() == {"clicks": events, "orders": ORDERS}
        assert list(catalog.tables()) == ["clicks", "orders"]

    def test_a_table_without_commits_is_empty_and_at_version_zero(self, catalog: Catalog) -> None:
        for version in (None, 0):
            snapshot = catalog.snapshot("orders", version)
            assert (snapshot.table, snapshot.version, snapshot.time, snapshot.positions) == (ORDERS, 0, 0, {})
            assert (snapshot.files, snapshot.newest) == ((), None)
        assert catalog.commits("orders") == []
        assert catalog.quarantine("orders") == []
        assert catalog.replayed("orders") == {}

    def test_an_unknown_table_or_version_is_not_found(self, catalog: Catalog) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: catalog.snapshot("no"),
            lambda: catalog.commits("no"),
            lambda: catalog.lease("no", "a", 1),
            lambda: catalog.commit("no", a_commit(1, {}, {})),
            lambda: catalog.quarantine("no"),
            lambda: catalog.replayed("no"),
            lambda: catalog.replay("no", [], [], 0),
            lambda: catalog.release("no", "a"),
            lambda: catalog.snapshot("orders", 1),
            lambda: catalog.snapshot("orders", -1),
            lambda: catalog.snapshot("orders", 1 << 32),
            lambda: catalog.replay("orders", [Replay(0, 1, "delivered")], [], 0),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()
        assert catalog.replayed("orders") == {}

    def test_a_new_nullable_column_is_added_at_the_end(self, catalog: Catalog) -> None:
        coupon = Column("coupon", "string", nullable=True)
        for columns in ((coupon, *COLUMNS), (*COLUMNS, coupon), (*COLUMNS[::-1], coupon)):
            catalog.declare(replace(ORDERS, contract=replace(ORDERS.contract, columns=columns)))
            assert catalog.tables()["orders"].contract.columns == (*COLUMNS, coupon)
            assert catalog.snapshot("orders", 0).table.contract.columns == (*COLUMNS, coupon)

    def test_marks_and_compression_may_change(self, catalog: Catalog) -> None:
        marked = (replace(COLUMNS[0], personal=True), *COLUMNS[1:])
        wanted = replace(ORDERS, contract=replace(ORDERS.contract, columns=marked), compression="zstd")
        catalog.declare(wanted)
        assert catalog.tables() == {"orders": wanted}

    @pytest.mark.parametrize(
        "changed,reason",
        [
            (replace(ORDERS, format="csv"), "format is 'parquet', the pipeline says 'csv'"),
            (replace(ORDERS, source="other"), "source"),
            (replace(ORDERS, contract=replace(ORDERS.contract, key=())), "key"),
            (replace(ORDERS, contract=replace(ORDERS.contract, partition=())), "partition"),
            (replace(ORDERS, contract=replace(ORDERS.contract, form="debezium")), "form"),
            (replace(ORDERS, contract=replace(ORDERS.contract, columns=COLUMNS[:-1])), "column note is gone"),
            (
                replace(ORDERS, contract=replace(ORDERS.contract, columns=(*COLUMNS, Column("qty", "int")))),
                "new column qty may not be NULL",
            ),
            *(
                (
                    replace(ORDERS, contract=replace(ORDERS.contract, columns=(*COLUMNS[:n], column, *COLUMNS[n + 1 :]))),
                    f"column {column.name} is",
                )
                for n, column in (
                    (0, Column("order_id", "int")),
                    (1, Column("cost", "decimal", precision=12, scale=3)),
                    (3, Column("channel", "string", values=("web",))),
                    (4, Column("note", "string")),
                )
            ),
        ],
        ids=str,
    )
    def test_any_other_difference_is_refused_with_its_reason_and_a_mend(
        self, catalog: Catalog, changed: LakeTable, reason: str
    ) -> None:
        with pytest.raises(ContractError, match=f"table orders: .*{reason}") as refused:
            catalog.declare(changed)
        assert refused.value.hint
        assert catalog.tables() == {"orders": ORDERS}

    def test_a_commit_shows_files_quarantine_and_positions_together(self, catalog: Catalog) -> None:
        lease = catalog.lease("orders", "me", 60)
        assert lease.positions == {}
        commit = a_commit(lease.epoch, {0: 0, 1: 0}, {0: 10, 1: 4}, files=2, quarantine=1)
        before = time.time_ns() // 1000
        assert catalog.commit("orders", commit) == 1
        snapshot = catalog.snapshot("orders")
        assert (snapshot.version, snapshot.positions, snapshot.files, snapshot.newest) == (
            1,
            commit.until,
            tuple(commit.files),
            14_000,
        )
        assert before - 5_000_000 <= snapshot.time <= time.time_ns() // 1000 + 5_000_000
        assert catalog.quarantine("orders") == commit.quarantine
        assert catalog.lease("orders", "me", 60) == (lease.epoch, {0: 10, 1: 4})
        assert catalog.commits("orders") == [(1, snapshot.time, {0: 0, 1: 0}, {0: 10, 1: 4}, 25, 18, 2, 5, 18, {0: 2})]

    def test_an_older_version_stays_as_it_was(self, catalog: Catalog) -> None:
        epoch, _ = catalog.lease("orders", "me", 60)
        for n in range(5):
            catalog.commit("orders", a_commit(epoch, {0: n}, {0: n + 1}, quarantine=1))
        for version in range(6):
            snapshot = catalog.snapshot("orders", version)
            assert [file.path for file in snapshot.files] == [f"tables/0.{n}-0.parquet" for n in range(1, version + 1)]
            assert snapshot.positions == ({0: version} if version else {})
        assert len(catalog.quarantine("orders")) == 5
        assert [info.version for info in catalog.commits("orders")] == [1, 2, 3, 4, 5]

    def test_a_commit_that_starts_elsewhere_is_a_conflict_and_changes_nothing(self, catalog: Catalog) -> None:
        epoch, _ = catalog.lease("orders", "me", 60)
        catalog.commit("orders", a_commit(epoch, {0: 0, 1: 0}, {0: 5, 1: 5}))
        before = catalog.snapshot("orders")
        for since, until in (
            ({0: 4, 1: 5}, {0: 9, 1: 9}),
            ({0: 5}, {0: 9}),
            ({}, {0: 1, 1: 0}),
            ({0: 5, 1: 5, 2: 1}, {0: 6, 1: 5, 2: 2}),
            ({0: 5, 1: 5}, {0: 4, 1: 9}),
            ({0: 5, 1: 5}, {0: 9}),
        ):
            with pytest.raises(Conflict) as conflict:
                catalog.commit("orders", a_commit(epoch, since, until, quarantine=1))
            assert conflict.value.retry
        assert catalog.snapshot("orders") == before
        assert catalog.quarantine("orders") == []

    def test_repeating_the_last_commit_is_nothing(self, catalog: Catalog) -> None:
        """L10."""
        epoch, _ = catalog.lease("orders", "me", 60)
        catalog.commit("orders", a_commit(epoch, {0: 0}, {0: 1}))
        commit = a_commit(epoch, {0: 1}, {0: 2}, files=2, quarantine=1)
        assert [catalog.commit("orders", commit) for _ in range(3)] == [2, 2, 2]
        assert len(catalog.snapshot("orders").files) == 3
        catalog.replay("orders", [Replay(0, 1, "dropped")], [], 0)
        assert catalog.commit("orders", commit) == 2
        assert (len(catalog.commits("orders")), len(catalog.quarantine("orders"))) == (3, 1)

    def test_without_a_lease_nobody_commits(self, catalog: Catalog) -> None:
        with pytest.raises(Fenced):
            catalog.commit("orders", a_commit(0, {}, {0: 1}))
        epoch, _ = catalog.lease("orders", "me", 60)
        catalog.release("orders", "you")
        catalog.commit("orders", a_commit(epoch, {}, {0: 1}))
        catalog.release("orders", "me")
        with pytest.raises(Fenced):
            catalog.commit("orders", a_commit(epoch, {0: 1}, {0: 2}))

    def test_a_lease_is_one_owners_until_it_ends_or_is_given_up(self, catalog: Catalog) -> None:
        assert catalog.holder("orders") == (0, "")
        first = catalog.lease("orders", "me", 600)
        assert catalog.holder("orders") == (first.epoch, "me")
        with pytest.raises(Unavailable) as busy:
            catalog.lease("orders", "you", 600)
        assert busy.value.retry
        assert catalog.lease("orders", "me", 0.01).epoch == first.epoch
        time.sleep(0.03)
        assert catalog.holder("orders") == (first.epoch, "")
        second = catalog.lease("orders", "you", 600)
        assert second.epoch > first.epoch
        catalog.release("orders", "you")
        assert catalog.holder("orders").epoch >= second.epoch
        assert catalog.holder("orders").owner == ""
        assert catalog.lease("orders", "me", 600).epoch > second.epoch

    def test_a_writer_that_lost_its_lease_cannot_commit_even_again(self, catalog: Catalog) -> None:
        old, _ = catalog.lease("orders", "me", 0.01)
        done = a_commit(old, {}, {0: 1})
        catalog.commit("orders", done)
        time.sleep(0.03)
        new, positions = catalog.lease("orders", "you", 600)
        for commit in (done, a_commit(old, {0: 1}, {0: 2})):
            with pytest.raises(Fenced):
                catalog.commit("orders", commit)
        assert catalog.commit("orders", a_commit(new, positions, {0: 2})) == 2

    def test_the_newest_row_stays_that_of_the_table_whatever_a_commit_brings(self, catalog: Catalog) -> None:
        epoch, _ = catalog.lease("orders", "me", 60)
        for n, (given, expected) in enumerate([(None, None), (7, 7), (None, 7), (5, 7), (9, 9)]):
            catalog.commit("orders", replace(a_commit(epoch, {0: n}, {0: n + 1}), newest=given))
            assert catalog.snapshot("orders").newest == expected

    def test_a_replay_adds_rows_and_moves_no_position(self, catalog: Catalog) -> None:
        epoch, _ = catalog.lease("orders", "me", 60)
        catalog.commit("orders", a_commit(epoch, {}, {0: 9, 1: 3}, quarantine=1))
        assert catalog.replay("orders", [Replay(0, 4, "delivered"), Replay(1, 2, "dropped")], [a_file("replayed")], 1) == 2
        snapshot = catalog.snapshot("orders")
        assert (snapshot.positions, snapshot.newest, len(snapshot.files)) == ({0: 9, 1: 3}, 12_000, 2)
        assert catalog.replayed("orders") == {(0, 4): "delivered", (1, 2): "dropped"}
        assert catalog.commits("orders")[1][2:] == ({0: 9, 1: 3}, {0: 9, 1: 3}, 0, 0, 0, 0, 1, {})
        assert catalog.commit("orders", a_commit(epoch, {0: 9, 1: 3}, {0: 10, 1: 3})) == 3

    def test_replaying_twice_is_replaying_once(self, catalog: Catalog) -> None:
        epoch, _ = catalog.lease("orders", "me", 60)
        catalog.commit("orders", a_commit(epoch, {}, {0: 9}, quarantine=1))
        catalog.replay("orders", [Replay(0, 4, "delivered")], [a_file("once")], 1)
        before = catalog.snapshot("orders")
        for replays in (
            [Replay(0, 4, "dropped")],
            [Replay(0, 5, "delivered"), Replay(0, 4, "delivered")],
            [Replay(0, 6, "dropped")] * 2,
        ):
            with pytest.raises(Conflict):
                catalog.replay("orders", replays, [a_file("twice")], 1)
        assert catalog.snapshot("orders") == before
        assert catalog.replayed("orders") == {(0, 4): "delivered"}

    def test_databases_and_tables_do_not_see_each_other(self, tmp_path: Path, catalog: Catalog) -> None:
        other = open_catalog(self.url(tmp_path), "other")
        assert other.tables() == {}
        other.declare(ORDERS)
        catalog.declare(replace(ORDERS, name="archive"))
        for place, table, records in ((other, "orders", 1), (catalog, "orders", 2), (catalog, "archive", 3)):
            epoch, positions = place.lease(table, "me", 60)
            assert positions == {}
            for n in range(records):
                place.commit(table, a_commit(epoch, {0: n}, {0: n + 1}, quarantine=1))
        for place, table, records in ((other, "orders", 1), (catalog, "orders", 2), (catalog, "archive", 3)):
            assert (place.snapshot(table).version, len(place.snapshot(table).files)) == (records, records)
            assert len(place.commits(table)) == len(place.quarantine(table)) == records
        other.close()

    def test_everything_is_there_after_reopening(self, tmp_path: Path, catalog: Catalog) -> None:
        epoch, _ = catalog.lease("orders", "me", 60)
        catalog.commit("orders", a_commit(epoch, {}, {0: 9}, quarantine=1))
        catalog.replay("orders", [Replay(0, 4, "delivered")], [a_file("once")], 1)
        before = catalog.snapshot("orders"), catalog.commits("orders"), catalog.quarantine("orders"), catalog.replayed("orders")
        catalog.close()
        again = open_catalog(self.url(tmp_path), "shop")
        assert (again.snapshot("orders"), again.commits("orders"), again.quarantine("orders"), again.replayed("orders")) == before
        assert again.lease("orders", "me", 60) == (epoch, {0: 9})
        again.close()

    def test_threads_that_commit_the_same_records_commit_them_once(self, catalog: Catalog) -> None:
        """L05: none is lost either."""
        epoch, _ = catalog.lease("orders", "me", 60)

        def commit(n: int) -> int | None:
            try:
                return catalog.commit("orders", a_commit(epoch, {0: n // 4}, {0: n // 4 + 1}))
            except CaudalError:
                return None

        with ThreadPoolExecutor(4) as pool:
            for start in range(0, 40, 4):
                assert set(pool.map(commit, range(start, start + 4))) == {start // 4 + 1}
        assert [info.until for info in catalog.commits("orders")] == [{0: n} for n in range(1, 11)]

    def test_a_flush_that_was_asked_for_is_counted(self, catalog: Catalog) -> None:
        if not isinstance(catalog, SupportsFlush):
            pytest.skip("nobody can ask")
        assert catalog.flush_asked("orders") == 0
        catalog.ask_flush("orders")
        catalog.ask_flush("orders")
        assert catalog.flush_asked("orders") == 2

    def test_processes_that_fight_for_a_lease_lose_and_repeat_nothing(self, tmp_path: Path, catalog: Catalog) -> None:
        if not self.processes:
            pytest.skip("of one process")
        done = [int(output) for output in run_together([COMMIT_TOGETHER] * 2, self.url(tmp_path))]
        commits = catalog.commits("orders")
        assert len(commits) >= sum(done) > 0
        assert [(info.since.get(0, 0), info.until[0]) for info in commits] == [(n, n + 1) for n in range(len(commits))]
        assert len(catalog.snapshot("orders").files) == len(commits)

    def test_kill_9_leaves_whole_commits_and_the_lease_free_for_the_next(self, tmp_path: Path, catalog: Catalog) -> None:
        if not self.processes:
            pytest.skip("of one process")
        for rounds in (1, 2):
            lines = run_and_kill(COMMIT_FOR_EVER, self.url(tmp_path), lines=8)
            snapshot = catalog.snapshot("orders")
            assert snapshot.version >= int(lines[-1]) + 1
            assert (snapshot.positions, len(snapshot.files)) == ({0: snapshot.version}, 3 * snapshot.version)
            assert len(catalog.quarantine("orders")) == 2 * snapshot.version
            assert catalog.commits("orders")[-1].version == snapshot.version
            lease = catalog.lease("orders", "next", 0)
            assert (lease.epoch, lease.positions) == (2 * rounds, snapshot.positions)

    def test_it_behaves_like_the_catalog_in_memory(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Any sequence of calls leaves it equal to the model."""
        compare_with_memory(lambda: self.url(tmp_path_factory.mktemp("catalog")), ORDERS, a_commit, a_file)
