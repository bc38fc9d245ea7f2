"""What every stream must do."""

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from caudal.errors import BackendError, CaudalError, NotFound, Trimmed, UsageError
from caudal.ingest.stream import Stream, SupportsRetention, open_stream, shard_of
from caudal.ingest.stream.memory import MemoryStream
from caudal.testing.held_back import StreamHeldBack
from caudal.testing.processes import run_and_kill, run_together, start

APPEND_MANY = """
import os, sys
from caudal.ingest.stream import open_stream
stream = open_stream(sys.argv[1])
for n in range(100):
    stream.append("clicks", [(b"%d" % os.getpid(), b"%d %d" % (os.getpid(), n)), (b"x", b"x")])
"""

APPEND_FOR_EVER = """
import sys
from itertools import count
from caudal.ingest.stream import open_stream
stream = open_stream(sys.argv[1])
for n in count():
    stream.append("clicks", [(b"a", b"%d" % n), (b"b", b"%d" % n), (b"c", b"%d" % n)])
    print(n)
"""

APPEND_WHEN_TOLD = """
import sys
from caudal.ingest.stream import open_stream
stream = open_stream(sys.argv[1])
print("ready")
sys.stdin.readline()
stream.append("clicks", [(b"a", b"news")])
"""


def read_all(stream: Stream, name: str, shard: int, offset: int | None = None, limit_bytes: int = 8 << 20) -> list[bytes]:
    """All records of a shard, read in steps; checks that positions are dense."""
    found: list[bytes] = []
    offset = stream.ends(name)[shard].oldest if offset is None else offset
    while True:
        run = stream.read(name, shard, offset, limit_bytes)
        assert (run.shard, run.first, run.next) == (shard, offset, offset + len(run))
        assert len(run.data) == run.lengths.sum()
        if not len(run):
            assert offset == stream.ends(name)[shard].next
            return found
        assert len(run) == 1 or len(run.data) <= limit_bytes
        found += [run.raw(n) for n in range(len(run))]
        offset = run.next


def keys_by_shard(shards: int) -> list[bytes]:
    """A key of each shard."""
    found: dict[int, bytes] = {}
    for n in range(1000):
        found.setdefault(shard_of(b"k%d" % n, shards), b"k%d" % n)
    return [found[shard] for shard in range(shards)]


class StreamSuite(StreamHeldBack):
    """Subclass as `TestXStream`, say where a fresh one is, and every promise is checked."""

    scheme: str
    processes = True
    """Whether other processes can open it."""

    @abstractmethod
    def url(self, folder: Path) -> str:
        """The URL of streams that nobody has used; the same for the same folder."""

    @pytest.fixture
    def stream(self, tmp_path: Path) -> Iterator[Stream]:
        """Two streams: clicks in two shards, views in one."""
        stream = open_stream(self.url(tmp_path))
        assert stream.create("clicks", 2) == 2
        assert stream.create("views", 1) == 1
        yield stream
        stream.close()

    def test_a_new_stream_is_empty_and_starts_at_zero(self, stream: Stream) -> None:
        assert stream.ends("clicks") == {0: (0, 0), 1: (0, 0)}
        assert stream.start("clicks") == stream.now("clicks") == {0: 0, 1: 0}
        assert len(stream.read("clicks", 1, 0)) == 0

    def test_creating_again_keeps_the_shards_and_the_records(self, stream: Stream) -> None:
        stream.append("views", [(b"a", b"1")])
        assert stream.create("views", 7) == 1
        assert read_all(stream, "views", 0) == [b"1"]
        assert stream.names() == ["clicks", "views"]

    def test_a_number_of_shards_that_cannot_be_is_refused(self, stream: Stream) -> None:
        for shards in (0, -1, 1025):
            with pytest.raises(UsageError):
                stream.create("other", shards)
        assert "other" not in stream.names()

    def test_an_append_says_where_its_records_are(self, stream: Stream) -> None:
        stream.append("views", [(b"a", b"1")])
        assert stream.append_all({"views": [(b"a", b"2"), (b"a", b"3")], "clicks": []}) == {"views": {0: 1}, "clicks": {}}

    def test_a_dropped_stream_is_gone_and_its_name_is_free(self, stream: Stream) -> None:
        stream.append("views", [(b"a", b"1")])
        stream.drop("views")
        stream.drop("views")
        assert stream.names() == ["clicks"]
        with pytest.raises(NotFound):
            stream.append("views", [(b"a", b"1")])
        stream.create("views", 2)
        assert stream.ends("views") == {0: (0, 0), 1: (0, 0)}

    def test_an_unknown_stream_or_shard_is_not_found(self, stream: Stream) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: stream.append("no", [(b"a", b"1")]), lambda: stream.append("no", []), lambda: stream.read("no", 0, 0),
            lambda: stream.ends("no"), lambda: stream.wait("no", {}, 0), lambda: stream.read("clicks", 2, 0),
            lambda: stream.read("clicks", -1, 0),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()

    def test_a_shard_is_chosen_by_the_key_alone_and_keeps_its_order(self, stream: Stream) -> None:
        keys = [b"k%d" % (n % 7) for n in range(50)]
        stream.append("clicks", [(key, b"%b %d" % (key, n)) for n, key in enumerate(keys)])
        for shard in range(2):
            assert read_all(stream, "clicks", shard) == [
                b"%b %d" % (key, n) for n, key in enumerate(keys) if shard_of(key, 2) == shard
            ]

    def test_the_shard_of_a_key_is_the_same_for_ever(self) -> None:
        assert [shard_of(key, 1024) for key in (b"", b"a", b"\x02household-1\x00")] == [0, 579, 966]

    @pytest.mark.parametrize("records", [
        [b""], [b"", b"", b"x", b""], [b"\x00\n\xff"], [b"small", b"x" * 1_500_000, b"small"], [b"y" * 16_384],
        [bytes(range(256)) * 63, b"z" * 400], [b"%d" % n for n in range(20_000)],
    ], ids=["empty", "mostly empty", "binary", "1.5 MB", "at 16 KiB", "incompressible", "20,000"])
    @pytest.mark.parametrize("at_once", [True, False])
    def test_records_come_back_byte_for_byte(self, stream: Stream, records: list[bytes], at_once: bool) -> None:
        if at_once or len(records) > 100:
            stream.append("views", [(b"k", record) for record in records])
        else:
            for record in records:
                stream.append("views", [(b"k", record)])
        assert read_all(stream, "views", 0) == records

    def test_reading_starts_at_any_position(self, stream: Stream) -> None:
        for n in range(0, 30, 3):
            stream.append("views", [(b"k", b"%d" % (n + m)) for m in range(3)])
        for offset in range(31):
            assert read_all(stream, "views", 0, offset) == [b"%d" % n for n in range(offset, 30)]

    def test_a_limit_is_kept_but_one_record_always_comes(self, stream: Stream) -> None:
        stream.append("views", [(b"k", b"x" * size) for size in (10, 3, 4, 3, 50, 0, 0, 1)])
        lengths = [list(stream.read("views", 0, offset, limit_bytes=10).lengths) for offset in range(8)]
        assert lengths[0] == [10]
        assert lengths[1] == [3, 4, 3]
        assert lengths[4] == [50]
        assert lengths[5] == [0, 0, 1]
        assert list(stream.read("views", 0, 0, limit_bytes=0).lengths) == [10]
        for limit in (1, 7, 60):
            assert len(read_all(stream, "views", 0, limit_bytes=limit)) == 8

    def test_records_say_when_they_were_appended(self, stream: Stream) -> None:
        before = time.time_ns() // 1000
        stream.append("views", [(b"k", b"1"), (b"k", b"2")])
        stream.append("views", [(b"k", b"3")])
        times = list(stream.read("views", 0, 0).times)
        assert times == sorted(times)
        assert before - 5_000_000 <= times[0]
        assert times[2] <= time.time_ns() // 1000 + 5_000_000

    def test_reading_past_the_end_is_an_error(self, stream: Stream) -> None:
        for records in ([], [(b"k", b"1")]):
            stream.append("views", records)
            with pytest.raises(BackendError, match="past the end"):
                stream.read("views", 0, len(records) + 1)

    def test_streams_do_not_see_each_other(self, stream: Stream) -> None:
        stream.create("third", 3)
        for n in range(3):
            stream.append("clicks", [(key, b"clicks %d" % n) for key in keys_by_shard(2)])
            stream.append("third", [(key, b"third %d" % n) for key in keys_by_shard(3)])
        assert len(stream.read("views", 0, 0)) == 0
        for name, shards in (("clicks", 2), ("third", 3)):
            for shard in range(shards):
                assert read_all(stream, name, shard) == [b"%b %d" % (name.encode(), n) for n in range(3)]

    def test_records_are_there_after_reopening(self, tmp_path: Path, stream: Stream) -> None:
        stream.append("views", [(b"k", b"1")])
        again = open_stream(self.url(tmp_path))
        stream.close()
        stream.close()
        again.append("views", [(b"k", b"2")])
        assert read_all(again, "views", 0) == [b"1", b"2"]
        again.close()

    def test_a_wait_that_has_news_returns_at_once(self, stream: Stream) -> None:
        stream.append("views", [(b"k", b"1")])
        started = time.monotonic()
        assert stream.wait("views", {}, 30)
        assert stream.wait("views", {0: 0}, 30)
        assert time.monotonic() - started < 15

    def test_a_wait_without_news_ends_in_time_and_says_so(self, stream: Stream) -> None:
        stream.append("views", [(b"k", b"1")])
        started = time.monotonic()
        assert not stream.wait("views", {0: 1}, 0)
        assert not stream.wait("views", {0: 1}, 0.2)
        assert 0.2 <= time.monotonic() - started < 15

    def test_a_waiting_thread_is_woken_by_an_append(self, stream: Stream) -> None:
        key = keys_by_shard(2)[1]
        for n in range(5):
            timer = threading.Timer(0.02, stream.append, ("clicks", [(key, b"x")]))
            timer.start()
            assert stream.wait("clicks", {0: 0, 1: n}, 30)
            timer.join()

    def test_an_append_elsewhere_wakes_nobody_for_good(self, stream: Stream) -> None:
        timer = threading.Timer(0.02, stream.append, ("clicks", [(b"k", b"x")]))
        timer.start()
        assert not stream.wait("views", {}, 0.1)
        timer.join()

    def test_threads_append_densely_and_keep_each_key_in_order(self, stream: Stream) -> None:
        def append(who: int) -> None:
            for n in range(0, 60, 3):
                stream.append("clicks", [(b"%d" % who, b"%d %d" % (who, n + m)) for m in range(3)])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(append, range(8)))
        self._check_orders(stream, {b"%d" % who: 60 for who in range(8)})

    @staticmethod
    def _check_orders(stream: Stream, expected: dict[bytes, int]) -> None:
        orders: dict[bytes, list[int]] = {}
        for shard in range(2):
            for record in read_all(stream, "clicks", shard, limit_bytes=200):
                if record != b"x":
                    who, n = record.split()
                    orders.setdefault(who, []).append(int(n))
        assert orders == {who: list(range(records)) for who, records in expected.items()}

    def test_processes_append_densely_and_keep_each_key_in_order(self, tmp_path: Path, stream: Stream) -> None:
        if not self.processes:
            pytest.skip("of one process")
        run_together([APPEND_MANY] * 2, self.url(tmp_path))
        writers = {record.split()[0] for shard in range(2) for record in read_all(stream, "clicks", shard)} - {b"x"}
        assert len(writers) == 2
        self._check_orders(stream, dict.fromkeys(writers, 100))
        assert sum(stream.now("clicks").values()) == 400

    def test_a_process_wakes_a_waiting_one(self, tmp_path: Path, stream: Stream) -> None:
        if not self.processes:
            pytest.skip("of one process")
        with start(APPEND_WHEN_TOLD, self.url(tmp_path)) as process:
            assert process.stdin and process.stdout
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("\n")
            process.stdin.flush()
            assert stream.wait("clicks", {}, 30)
            assert process.wait(30) == 0

    def test_what_was_acknowledged_survives_kill_9(self, tmp_path: Path, stream: Stream) -> None:
        if not self.processes:
            pytest.skip("of one process")
        lines = run_and_kill(APPEND_FOR_EVER, self.url(tmp_path), lines=20)
        counts = [len(read_all(stream, "clicks", shard)) for shard in range(2)]
        assert sum(counts) % 3 == 0
        assert sum(counts) // 3 >= len(lines)

    def test_dropped_records_are_an_error_that_names_the_gap(self, stream: Stream) -> None:
        retained = self._retained(stream)
        for n in range(5):
            stream.append("views", [(b"k", b"%d" % (2 * n)), (b"k", b"%d" % (2 * n + 1))])
            stream.append("clicks", [(b"k", b"x")])
        retained.trim("views", {0: 6})
        assert stream.ends("views")[0] == (6, 10)
        assert read_all(stream, "views", 0) == [b"6", b"7", b"8", b"9"]
        for offset in (0, 5):
            with pytest.raises(Trimmed, match=f"views.*shard 0.*positions {offset} to 5"):
                stream.read("views", 0, offset)
        assert sum(stream.now("clicks").values()) - sum(stream.start("clicks").values()) == 5

    def test_trimming_keeps_what_is_at_or_past_the_position_and_the_newest(self, stream: Stream) -> None:
        retained = self._retained(stream)
        retained.trim("views", {0: 10})
        for n in range(3):
            stream.append("views", [(b"k", b"%d" % (3 * n + m)) for m in range(3)])
        for before, oldest in ((0, 0), (2, 0), (3, 3), (5, 3), (2, 3), (9, 6), (99, 6)):
            retained.trim("views", {0: before})
            assert stream.ends("views")[0] == (oldest, 9)
        stream.append("views", [(b"k", b"9")])
        assert read_all(stream, "views", 0) == [b"6", b"7", b"8", b"9"]
        for shard in (1, -1):
            with pytest.raises(NotFound):
                retained.trim("views", {shard: 1})

    def test_trimming_keeps_what_is_young(self, stream: Stream) -> None:
        retained = self._retained(stream)
        for n in range(3):
            stream.append("views", [(b"k", b"%d" % n)])
            time.sleep(0.002)
        times = list(stream.read("views", 0, 0).times)
        for older_than, oldest in ((0, 0), (times[0], 0), (times[1], 1), (times[2] + 1, 2)):
            retained.trim("views", {0: 3}, older_than)
            assert stream.ends("views")[0] == (oldest, 3)

    def test_a_reader_beside_a_trim_gets_its_records_or_trimmed(self, stream: Stream) -> None:
        retained = self._retained(stream)
        for n in range(200):
            stream.append("views", [(b"k", b"%d" % n)])

        def trim() -> None:
            for n in range(200):
                retained.trim("views", {0: n})

        trimmer = threading.Thread(target=trim)
        trimmer.start()
        while trimmer.is_alive():
            offset = stream.ends("views")[0].oldest
            try:
                run = stream.read("views", 0, offset, limit_bytes=20)
            except Trimmed:
                continue
            assert [run.raw(n) for n in range(len(run))] == [b"%d" % (offset + n) for n in range(len(run))]
        trimmer.join()

    @staticmethod
    def _retained(stream: Stream) -> SupportsRetention:
        if not isinstance(stream, SupportsRetention):
            pytest.skip("keeps everything")
        return stream

    def test_it_behaves_like_the_stream_in_memory(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Any sequence of calls leaves it equal to the model."""
        suite = self

        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                self.real, self.model = open_stream(suite.url(tmp_path_factory.mktemp("stream"))), MemoryStream()
                for name, shards in (("a", 1), ("b", 3)):
                    assert self.real.create(name, shards) == self.model.create(name, shards)

            def both(self, call: Callable[[Any], Any]) -> None:
                outcomes = []
                for stream in (self.real, self.model):
                    try:
                        outcomes.append(call(stream))
                    except CaudalError as error:
                        outcomes.append(type(error))
                assert outcomes[0] == outcomes[1]

            @rule(
                name=st.sampled_from("abc"),
                records=st.lists(st.tuples(st.sampled_from([b"", b"k", b"kk", b"l"]), st.binary(max_size=9)), max_size=5),
            )
            def append(self, name: str, records: list[tuple[bytes, bytes]]) -> None:
                self.both(lambda stream: stream.append_all({name: records, "a": records[:1]}))

            @rule(name=st.sampled_from("abc"), shard=st.integers(-1, 3), offset=st.integers(0, 20), limit=st.integers(0, 20))
            def read(self, name: str, shard: int, offset: int, limit: int) -> None:
                def call(stream: Stream) -> Any:
                    run = stream.read(name, shard, offset, limit)
                    return run.shard, run.first, list(run.lengths), run.data

                self.both(call)

            @rule(name=st.sampled_from("ab"), before=st.integers(0, 20))
            def trim(self, name: str, before: int) -> None:
                if isinstance(self.real, SupportsRetention):
                    self.both(lambda stream: stream.trim(name, {0: before}))

            @invariant()
            def they_hold_the_same(self) -> None:
                self.both(lambda stream: [stream.ends(name) for name in "ab"])
                self.both(lambda stream: [read_all(stream, name, shard) for name in "ab" for shard in stream.ends(name)])

            def teardown(self) -> None:
                self.real.close()

        run_state_machine_as_test(Machine, settings=settings(
            max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ))
