"""What every catalog must do for whoever looks after the lake."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from caudal.errors import Conflict, NotFound
from caudal.lake.catalog import DELETED, Base, Catalog, Replay, Totals, open_catalog
from caudal.records import Commit, DataFile


def _file(name: str, rows: int = 5) -> DataFile:
    return DataFile(f"tables/{name}.parquet", (("sold_at_day", "2026-01-02"),), rows, 100, "ab" * 16)


def _fill(catalog: Catalog, commits: int) -> list[DataFile]:
    """Commit files f0, f1, … of five rows each, ten records a commit."""
    epoch, positions = catalog.lease("orders", "filler", 60)
    start, made = positions.get(0, 0) // 10, []
    for n in range(start, start + commits):
        file = _file(f"f{n}")
        catalog.commit("orders", Commit(
            epoch, {0: 10 * n}, {0: 10 * n + 10}, [file], [], 10, 5, 4, 1, 5, newest=n, dropped_by_shard={0: 3, 1: 1}
        ))
        made.append(file)
    return made


def _paths(catalog: Catalog, version: int | None = None) -> list[str]:
    return [file.path.removeprefix("tables/").removesuffix(".parquet") for file in catalog.snapshot("orders", version).files]


class CatalogUpkeep:
    """A part of `CatalogSuite`, which says where a catalog is."""

    def url(self, folder: Path) -> str:
        """The URL of a catalog."""
        raise AssertionError

    def test_a_rewrite_puts_files_in_the_place_of_others_and_moves_no_position(self, catalog: Catalog) -> None:
        files = _fill(catalog, 4)
        before = catalog.snapshot("orders")
        assert catalog.rewrite("orders", [files[1].path, files[2].path], [_file("merged", 10)]) == 5
        after = catalog.snapshot("orders")
        assert (after.positions, after.newest) == (before.positions, before.newest)
        assert _paths(catalog) == ["f0", "f3", "merged"]
        assert _paths(catalog, 4) == ["f0", "f1", "f2", "f3"]
        assert _paths(catalog, 2) == ["f0", "f1"]
        assert catalog.commits("orders")[4][2:] == ({0: 40}, {0: 40}, 0, 0, 0, 0, 0, {})

    def test_a_rewrite_that_comes_too_late_is_a_conflict_and_changes_nothing(self, catalog: Catalog) -> None:
        files = _fill(catalog, 3)
        catalog.rewrite("orders", [files[0].path, files[1].path], [_file("merged", 10)])
        before = catalog.snapshot("orders")
        for old, new in (
            ([files[0].path, files[2].path], [_file("late", 10)]),
            (["tables/no.parquet"], [_file("late", 5)]),
            ([files[2].path], [_file("fewer", 4)]),
            ([files[2].path], [_file("more", 4), _file("again", 2)]),
            ([files[2].path], []),
            ([], []),
        ):
            with pytest.raises(Conflict):
                catalog.rewrite("orders", old, new)
        assert catalog.snapshot("orders") == before

    def test_commits_go_on_beside_rewrites(self, catalog: Catalog) -> None:
        _fill(catalog, 1)
        stop, merged = threading.Event(), [0]

        def merge() -> None:
            while not stop.is_set():
                files = catalog.snapshot("orders").files
                if len(files) > 1:
                    merged[0] += 1
                    rows = sum(file.rows for file in files)
                    catalog.rewrite("orders", [file.path for file in files], [_file(f"m{merged[0]}", rows)])

        thread = threading.Thread(target=merge)
        thread.start()
        fills = 1
        while thread.is_alive() and (fills < 40 or merged[0] < 3):  # memory may be done before it begins
            _fill(catalog, 1)
            fills += 1
        stop.set()
        thread.join()
        snapshot = catalog.snapshot("orders")
        assert (snapshot.positions, sum(file.rows for file in snapshot.files)) == ({0: 10 * fills}, 5 * fills)
        for version in range(1, snapshot.version + 1):
            old = catalog.snapshot("orders", version)
            assert 2 * sum(file.rows for file in old.files) == old.positions[0]

    def test_repeating_a_commit_after_a_rewrite_is_nothing(self, catalog: Catalog) -> None:
        epoch, _ = catalog.lease("orders", "me", 60)
        commit = Commit(epoch, {0: 0}, {0: 10}, [_file("a"), _file("b")], [], 10, 10, 0, 0, 10)
        catalog.commit("orders", commit)
        catalog.rewrite("orders", ["tables/a.parquet", "tables/b.parquet"], [_file("ab", 10)])
        catalog.expire("orders", 1, 1 << 60)
        assert catalog.commit("orders", commit) == 1
        assert _paths(catalog) == ["ab"]

    def test_a_base_stands_for_what_came_before_it(self, catalog: Catalog) -> None:
        files = _fill(catalog, 4)
        made = (_file("base"), replace(_file("gone"), partition=DELETED))
        catalog.keep_base("orders", 3, list(made))
        assert catalog.snapshot("orders").base == Base(3, made, (files[3],))
        assert catalog.snapshot("orders", 3).base == Base(3, made, ())
        assert catalog.snapshot("orders", 2).base is None
        old, new = _file("old", 10), _file("new", 10)
        catalog.rewrite("orders", [files[0].path, files[1].path], [old])
        assert catalog.snapshot("orders").base == Base(3, made, (files[3],))
        catalog.rewrite("orders", [files[2].path, files[3].path], [new])
        assert catalog.snapshot("orders").base == Base(3, made, (new,))
        assert {*made, *files, old, new} == set(catalog.named("orders"))

    def test_a_newer_base_takes_over_and_an_older_one_never(self, catalog: Catalog) -> None:
        _fill(catalog, 4)
        catalog.keep_base("orders", 2, [_file("base2")])
        catalog.keep_base("orders", 4, [_file("base4")])
        for version in (1, 2, 3, 4):
            with pytest.raises(Conflict):
                catalog.keep_base("orders", version, [_file("late")])
        for version in (-1, 0, 5):
            with pytest.raises(NotFound):
                catalog.keep_base("orders", version, [_file("late")])
        for version, base in ((2, 2), (3, 2), (4, 4)):
            found = catalog.snapshot("orders", version).base
            assert found is not None and found.version == base

    def test_expiry_gives_up_old_versions_and_says_whose_objects_can_go(self, catalog: Catalog) -> None:
        files = _fill(catalog, 4)
        catalog.keep_base("orders", 2, [_file("base2")])
        catalog.keep_base("orders", 3, [_file("base3")])
        catalog.rewrite("orders", [file.path for file in files], [_file("merged", 20)])
        _fill(catalog, 1)
        assert catalog.expire("orders", 3, 0).versions == 0
        assert catalog.expire("orders", 7, 1 << 60).versions == 0
        wanted = (3, [_file("base2")])
        assert catalog.expire("orders", 3, 1 << 60, pretend=True) == wanted
        assert catalog.expire("orders", 3, 1 << 60) == wanted
        assert _paths(catalog, 4) == ["f0", "f1", "f2", "f3"]
        assert (catalog.versions("orders")[:2], [info.version for info in catalog.commits("orders")]) == ((4, 6), [4, 5, 6])
        assert catalog.expire("orders", 0, 1 << 60) == (2, files)
        assert (_paths(catalog), catalog.versions("orders")[:2]) == (["merged", "f4"], (6, 6))
        assert {file.path for file in catalog.named("orders")} == {f"tables/{name}.parquet" for name in ("base3", "merged", "f4")}
        assert catalog.expire("orders", 1, 1 << 60) == (0, [])
        _fill(catalog, 1)
        assert _paths(catalog) == ["merged", "f4", "f5"]

    def test_an_expired_version_and_one_that_never_was_say_which_there_are(self, catalog: Catalog) -> None:
        _fill(catalog, 5)
        catalog.expire("orders", 2, 1 << 60)
        for version in (0, 3, 6):
            with pytest.raises(NotFound, match=f"table orders has no version {version}(, it was expired)?$") as missing:
                catalog.snapshot("orders", version)
            assert missing.value.hint.startswith("its versions are 4 to 5, the oldest of 20")
            assert ("expired" in str(missing.value)) == (version < 4)

    def test_a_version_is_found_by_its_time(self, catalog: Catalog) -> None:
        with pytest.raises(NotFound) as missing:
            catalog.version_at("orders", 1 << 60)
        assert missing.value.hint == "it has no commit yet"
        times = []
        for _ in range(5):
            _fill(catalog, 1)
            times.append(catalog.snapshot("orders").time)
            time.sleep(0.002)
        assert times == sorted(set(times))
        for n, moment in enumerate(times, 1):
            assert catalog.version_at("orders", moment) == n
            assert catalog.version_at("orders", moment + 1) == n
        catalog.expire("orders", 1, times[2])
        assert catalog.versions("orders") == (3, 5, times[2])
        assert catalog.version_at("orders", times[2]) == 3
        for moment in (times[2] - 1, 0, -1):
            with pytest.raises(NotFound, match="table orders has no version of ") as missing:
                catalog.version_at("orders", moment)
            assert "3 to 5" in missing.value.hint

    def test_what_was_current_at_the_limit_can_still_be_read(self, catalog: Catalog) -> None:
        _fill(catalog, 3)
        moment = catalog.snapshot("orders", 2).time
        catalog.expire("orders", 1, moment)
        assert catalog.versions("orders").oldest == 2

    def test_totals_outlive_the_versions(self, catalog: Catalog) -> None:
        assert catalog.totals("orders") == Totals()
        files = _fill(catalog, 3)
        catalog.replay("orders", [Replay(0, 4, "delivered")], [_file("replayed", 1)], 1)
        wanted = Totals(30, 15, 12, 3, 16, {0: 9, 1: 3})
        assert catalog.totals("orders") == wanted
        catalog.rewrite("orders", [file.path for file in files], [_file("merged", 15)])
        catalog.expire("orders", 1, 1 << 60)
        assert catalog.totals("orders") == wanted

    def test_commits_are_told_from_a_time_on(self, catalog: Catalog) -> None:
        _fill(catalog, 2)
        time.sleep(0.002)
        _fill(catalog, 1)
        assert [info.version for info in catalog.commits("orders", catalog.snapshot("orders").time)] == [3]
        assert catalog.commits("orders", 1 << 60) == []

    def test_a_disowned_object_is_never_committed(self, catalog: Catalog) -> None:
        files = _fill(catalog, 2)
        catalog.rewrite("orders", [file.path for file in files], [_file("merged", 10)])
        lost = [_file(name) for name in ("a", "b")]
        asked = [file.path for file in (*files, *lost, _file("merged"))]
        assert catalog.disown("orders", asked) == [file.path for file in lost]
        assert catalog.disown("orders", []) == []
        before = catalog.snapshot("orders")
        epoch, _ = catalog.lease("orders", "filler", 60)
        bad = Commit(epoch, {0: 20}, {0: 30}, [], [lost[0]], 10, 5, 4, 1, 5)
        for call in (
            lambda: catalog.commit("orders", replace(bad, files=[_file("good"), lost[0]], quarantine=[])),
            lambda: catalog.commit("orders", bad),
            lambda: catalog.replay("orders", [Replay(0, 1, "delivered")], [lost[1]], 5),
            lambda: catalog.rewrite("orders", ["tables/merged.parquet"], [replace(lost[1], rows=10)]),
            lambda: catalog.keep_base("orders", 1, [lost[1]]),
        ):
            with pytest.raises(Conflict) as removed:
                call()
            assert removed.value.hint == "write it again"
        assert (catalog.snapshot("orders"), catalog.replayed("orders"), catalog.quarantine("orders")) == (before, {}, [])
        assert _fill(catalog, 1)

    def test_upkeep_of_an_unknown_table_is_not_found(self, catalog: Catalog) -> None:
        for call in (
            lambda: catalog.rewrite("no", [], []), lambda: catalog.keep_base("no", 1, []), lambda: catalog.expire("no", 1, 0),
            lambda: catalog.disown("no", ["x"]), lambda: catalog.named("no"), lambda: catalog.versions("no"),
            lambda: catalog.version_at("no", 0), lambda: catalog.totals("no"),
        ):
            with pytest.raises(NotFound):
                call()

    def test_what_was_kept_up_is_there_after_a_reopening(self, tmp_path: Path, catalog: Catalog) -> None:
        files = _fill(catalog, 3)
        catalog.rewrite("orders", [file.path for file in files], [_file("merged", 15)])
        catalog.keep_base("orders", 4, [_file("base")])
        catalog.expire("orders", 1, 1 << 60)
        before = catalog.snapshot("orders")
        again = open_catalog(self.url(tmp_path), "shop")
        assert again.snapshot("orders") == before
        assert again.versions("orders") == catalog.versions("orders")
        again.close()
