"""What every place for objects must do."""

import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from caudal.errors import AlreadyExists, CaudalError, NotFound, UsageError
from caudal.lake.files import FileInfo, Files, open_files
from caudal.lake.files.memory import MemoryFiles
from caudal.testing.processes import run_and_kill, run_together

PUT_THE_SAME = """
import os, sys
from caudal.errors import AlreadyExists
from caudal.lake.files import open_files
files = open_files(sys.argv[1])
for n in range(60):
    try:
        files.put(f"a/b{n % 3}/{n}", b"%d" % os.getpid())
        print(n, os.getpid())
    except AlreadyExists:
        pass
"""

PUT_FOR_EVER = """
import sys
from itertools import count
from caudal.lake.files import open_files
files = open_files(sys.argv[1])
for n in count():
    files.put(f"f{n % 7}/{n}", b"%08d" % n * 200_000)
    print(n)
"""

ESCAPES = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "..",
    "../a",
    "a/../b",
    "a/..",
    ".",
    "./a",
    "a/./b",
    ".a",
    "a/.b",
    ".half/a",
    "_a",
    "a/_b",
    "a\\b",
    "a\0",
    "a\n",
    "a b",
    "a:b",
    "~/a",
    "a?b",
    "a#b",
    "a*",
    "ä",
    "a" * 256,
    "/".join(["a" * 100] * 11),
    "\ud800",
]
"""G08, G10: what no object may be called."""


class FilesSuite:
    """Subclass as `TestXFiles`, say where a fresh one is, and every promise is checked."""

    scheme: str
    processes = True
    """Whether other processes can open it."""

    @abstractmethod
    def url(self, folder: Path) -> str:
        """The URL of a place that nobody has used; the same for the same folder."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> Files:
        """An empty place."""
        return open_files(self.url(tmp_path))

    def test_a_new_place_is_empty(self, files: Files) -> None:
        assert list(files.list()) == []

    @pytest.mark.parametrize("data", [b"", b"\x00\r\n\xff", b"x" * 3_000_000], ids=["empty", "binary", "3 MB"])
    def test_an_object_comes_back_as_it_went_in(self, files: Files, data: bytes) -> None:
        files.put("a/b=1/c.parquet", memoryview(data))
        assert files.get("a/b=1/c.parquet") == data
        assert list(files.list()) == [FileInfo("a/b=1/c.parquet", len(data))]

    def test_an_object_is_there_after_reopening(self, tmp_path: Path, files: Files) -> None:
        files.put("a/b", b"1")
        assert open_files(self.url(tmp_path)).get("a/b") == b"1"

    def test_an_object_is_written_once(self, files: Files) -> None:
        files.put("a/b", b"1")
        with pytest.raises(AlreadyExists):
            files.put("a/b", b"2")
        assert files.get("a/b") == b"1"

    def test_a_path_is_an_object_or_a_folder(self, files: Files) -> None:
        files.put("a/b", b"1")
        for path in ("a", "a/b/c", "a/b/c/d"):
            with pytest.raises(AlreadyExists):
                files.put(path, b"2")
            with pytest.raises(NotFound):
                files.get(path)
            files.delete(path)
        assert list(files.list()) == [FileInfo("a/b", 1)]

    def test_an_object_that_is_not_there_is_not_found(self, files: Files) -> None:
        with pytest.raises(NotFound):
            files.get("a/b")

    def test_a_deleted_object_is_gone_and_deleting_again_is_nothing(self, files: Files) -> None:
        files.put("a/b", b"1")
        files.put("a/c", b"2")
        for _ in range(2):
            files.delete("a/b")
            assert list(files.list()) == [FileInfo("a/c", 1)]
        files.put("a/b", b"3")
        assert files.get("a/b") == b"3"

    def test_it_is_known_when_an_object_was_put(self, files: Files) -> None:
        before = time.time_ns() // 1000
        files.put("a/b", b"x")
        written = files.written("a/b")
        assert written is not None and before - 2_000_000 <= written <= time.time_ns() // 1000 + 2_000_000
        files.delete("a/b")
        assert files.written("a/b") is files.written("a/c") is None

    def test_a_list_is_sorted_and_starts_with_the_prefix(self, files: Files) -> None:
        paths = ["a", "b/c", "b/d/e", "b-/f", "b0", "bb/g", "c/_hidden/h"]
        for path in reversed(paths):
            files.put(path, path.encode())
        for prefix in ("", "b", "b/", "b/d", "b/d/", "b-", "x", "x/y", "c/_hidden/"):
            assert list(files.list(prefix)) == [FileInfo(p, len(p)) for p in sorted(paths) if p.startswith(prefix)]

    @pytest.mark.parametrize("path", ESCAPES, ids=ascii)
    def test_a_path_that_escapes_or_hides_is_refused(self, tmp_path: Path, files: Files, path: str) -> None:
        (tmp_path / "a").write_bytes(b"not an object")
        calls: list[Callable[[], Any]] = [
            lambda: files.put(path, b"1"), lambda: files.get(path), lambda: files.delete(path), lambda: files.location(path),
        ]
        for call in calls:
            with pytest.raises(UsageError, match="is not a path"):
                call()
        assert list(files.list()) == []

    @pytest.mark.parametrize("prefix", ["/", "../", "..", "/etc/", "a/../../", "a//", ".half/", ".", "a\0", "~/"], ids=ascii)
    def test_a_list_never_leaves_the_place(self, files: Files, prefix: str) -> None:
        with pytest.raises(UsageError):
            list(files.list(prefix))

    def test_a_location_is_the_objects_file_or_none(self, files: Files) -> None:
        files.put("a/b", b"1")
        location = files.location("a/b")
        if location is not None:
            assert Path(location).read_bytes() == b"1"

    def test_of_many_threads_that_put_one_path_one_wins(self, tmp_path: Path, files: Files) -> None:
        places = [files, open_files(self.url(tmp_path))]

        def put(who: int) -> int | None:
            try:
                places[who % 2].put(f"a/b/{who // 8}", b"%d" % who)
                return who
            except AlreadyExists:
                return None

        with ThreadPoolExecutor(8) as pool:
            won = [who for who in pool.map(put, range(64)) if who is not None]
        assert sorted(who // 8 for who in won) == list(range(8))
        assert {int(files.get(info.path)) for info in files.list()} == set(won)

    def test_threads_that_put_different_paths_all_win(self, files: Files) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: files.put(f"d{n % 5}/{n}", b"%d" % n), range(100)))
        assert {info.path: files.get(info.path) for info in files.list()} == {f"d{n % 5}/{n}": b"%d" % n for n in range(100)}

    def test_of_processes_that_put_one_path_one_wins(self, tmp_path: Path, files: Files) -> None:
        if not self.processes:
            pytest.skip("of one process")
        lines = "".join(run_together([PUT_THE_SAME] * 2, self.url(tmp_path))).splitlines()
        assert sorted(int(line.split()[0]) for line in lines) == list(range(60))
        for line in lines:
            n, who = line.split()
            assert files.get(f"a/b{int(n) % 3}/{n}") == who.encode()

    def test_a_reader_sees_an_object_whole_or_not_at_all(self, files: Files) -> None:
        data = [b"%08d" % n * 50_000 for n in range(12)]
        writer = threading.Thread(target=lambda: [files.put(f"a/{n}", each) for n, each in enumerate(data)])
        writer.start()
        while writer.is_alive():
            for info in files.list():
                assert files.get(info.path) == data[int(info.path[2:])]
        writer.join()

    def test_a_list_beside_deletes_does_not_fail(self, files: Files) -> None:
        for n in range(50):
            files.put(f"a/{n}", b"")
        deleter = threading.Thread(target=lambda: [files.delete(f"a/{n}") for n in range(50)])
        deleter.start()
        while deleter.is_alive():
            assert len(list(files.list())) <= 50
        deleter.join()
        assert list(files.list()) == []

    def test_kill_9_leaves_every_object_whole_and_every_acknowledged_one_there(self, tmp_path: Path, files: Files) -> None:
        if not self.processes:
            pytest.skip("of one process")
        lines = run_and_kill(PUT_FOR_EVER, self.url(tmp_path), lines=8)
        for place in (files, open_files(self.url(tmp_path))):
            found = {info.path: place.get(info.path) for info in place.list()}
            assert found.keys() >= {f"f{int(n) % 7}/{n}" for n in lines}
            for path, data in found.items():
                assert data == b"%08d" % int(path.partition("/")[2]) * 200_000

    def test_it_behaves_like_the_place_in_memory(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Any sequence of calls leaves it equal to the model."""
        suite = self
        paths = st.sampled_from(["a", "b", "a/a", "a/b", "b/a/a", "b/a/b", "b/aa", "", "a/..", "a//a", "/a", "_a", ".a"])

        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                self.real, self.model = open_files(suite.url(tmp_path_factory.mktemp("files"))), MemoryFiles()

            def both(self, call: Callable[[Files], Any]) -> None:
                outcomes = []
                for files in (self.real, self.model):
                    try:
                        outcomes.append(call(files))
                    except CaudalError as error:
                        outcomes.append(type(error))
                assert outcomes[0] == outcomes[1]

            @rule(path=paths, data=st.binary(max_size=4))
            def put(self, path: str, data: bytes) -> None:
                self.both(lambda files: files.put(path, data))

            @rule(path=paths)
            def get(self, path: str) -> None:
                self.both(lambda files: files.get(path))

            @rule(path=paths)
            def delete(self, path: str) -> None:
                self.both(lambda files: files.delete(path))

            @rule(path=paths, length=st.integers(0, 5))
            def list(self, path: str, length: int) -> None:
                self.both(lambda files: [*files.list(path[:length])])

            @invariant()
            def they_hold_the_same(self) -> None:
                self.both(lambda files: {info: files.get(info.path) for info in files.list()})

        run_state_machine_as_test(Machine, settings=settings(
            max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[*HealthCheck]
        ))
