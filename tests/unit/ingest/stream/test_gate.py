"""Backpressure: slower from three quarters on, refused at the limit, open again once delivered; a nearly full disk refused."""

import threading
import time

import apsw
import pytest

from caudal import hurry
from caudal.config import Config, StreamConfig
from caudal.contract import Delivery
from caudal.errors import Throttled, Unavailable
from caudal.ingest.importer import import_file
from caudal.ingest.stream import gate, open_stream
from caudal.ingest.stream.gate import Backpressure
from caudal.pipeline import Pipeline

KB = 1 / 1024


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(gate, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(gate, "PATIENCE_SECONDS", 0.02)


@pytest.fixture
def stages(tmp_path):
    pipeline = Pipeline("shop")

    @pipeline.table(key=["sale_id"], deliveries=[Delivery(buffer_seconds=0), Delivery("csv", buffer_seconds=0)])
    class Sale:
        sale_id: str
        note: str

    @pipeline.events()
    class View:
        sale_id: str

    with pipeline.open(Config(folder=str(tmp_path), stream=StreamConfig(waiting_mb=20 * KB))) as opened:
        yield opened


def sell(stages, n):
    stages.store.put("sale", {"sale_id": f"s{n}", "note": "x" * 1000})


def sell_until_refused(stages):
    for n in range(100):
        try:
            sell(stages, n)
        except Throttled as error:
            return n, error
    return None


def deliver(stages, *names):
    for name in names:
        stages.writer(name).flush()
        stages.writer(name).close()


def test_writes_are_refused_at_the_limit_and_taken_again_once_the_slowest_delivery_has_them(stages):
    count, error = sell_until_refused(stages)
    assert 17 <= count <= 20
    assert error.retry and "table sale: 0 MB wait" in str(error) and "caudal status" in error.hint
    deliver(stages, "sale")
    with pytest.raises(Throttled):
        sell(stages, count)
    deliver(stages, "sale_csv")
    sell(stages, count)
    stages.events("view").append([{"sale_id": "a"}])
    deliver(stages, "sale", "sale_csv")
    assert len(list(stages.store.scan("sale"))) == count + 1
    assert stages.query.execute("SELECT count(*) AS n FROM sale")["n"].to_pylist() == [count + 1]


def test_another_table_goes_on(stages):
    sell_until_refused(stages)
    assert len(stages.events("view").append([{"sale_id": "a"}])) == 1


def test_writes_are_slower_the_more_waits(stages, monkeypatch):
    slept = []
    monkeypatch.setattr(gate.time, "sleep", slept.append)
    sell_until_refused(stages)
    waits = [seconds for seconds in slept if seconds > 0]
    assert waits and waits == sorted(waits) and waits[-1] <= gate.SLOWEST_SECONDS


def test_at_the_limit_a_few_writes_wait_and_the_others_are_refused_at_once(stages, monkeypatch):
    sell_until_refused(stages)
    monkeypatch.setattr(gate, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(gate, "LOOK_SECONDS", 0.05)
    took = []

    def sell_and_time():
        started = time.monotonic()
        with pytest.raises(Throttled):
            sell(stages, 0)
        took.append(time.monotonic() - started)

    threads = [threading.Thread(target=sell_and_time) for _ in range(gate.WAITING + 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([seconds for seconds in took if seconds < 0.9]) == 4


def test_an_import_waits_for_the_writer_and_then_goes_on(stages, tmp_path):
    path, told = tmp_path / "sales.csv", []
    path.write_text("sale_id,note\n" + "".join(f"i{n},{'x' * 500}\n" for n in range(3000)))
    stop = threading.Event()

    def writer():
        while not stop.wait(0.05):
            deliver(stages, "sale", "sale_csv")

    sell_until_refused(stages)
    thread = threading.Timer(0.2, writer)
    thread.start()
    done = import_file(path, stages.table("sale").contract, stages.store, stages.stream, waits=told.append)
    stop.set()
    thread.join()
    assert done.written == 3000
    assert told and all(isinstance(error, Throttled) for error in told)


def test_a_disk_that_is_nearly_full_is_refused_before_it_is_full(tmp_path):
    stream = open_stream(f"sqlite:{tmp_path}/store.db")
    stream.create("click", 1)
    free = stream.free_bytes() / gate.MB
    for least, refused in ((free / 2, False), (free * 2, True)):
        stream.admit_by(Backpressure(StreamConfig(free_mb=least), lambda: stream, lambda name: []))
        if refused:
            with pytest.raises(Unavailable, match="nearly full") as error:
                stream.append("click", [(b"a", b"1")])
            assert not isinstance(error.value, Throttled) and "free some space" in error.value.hint
        else:
            stream.append("click", [(b"a", b"1")])
    assert stream.now("click") == {0: 1}
    stream.close()


def test_what_the_lake_cannot_tell_holds_nobody_back(tmp_path):
    def fails(name):
        raise Unavailable("a fault on purpose")

    stream = open_stream(f"sqlite:{tmp_path}/store.db")
    stream.create("click", 1)
    stream.admit_by(Backpressure(StreamConfig(waiting_mb=KB), lambda: stream, fails))
    for _ in range(3):
        stream.append("click", [(b"a", b"x" * 2000)])
    assert stream.now("click") == {0: 3}
    stream.close()


def test_0_is_no_limit(tmp_path):
    stream = open_stream("memory:")
    stream.create("click", 1)
    stream.admit_by(Backpressure(StreamConfig(waiting_mb=0), lambda: stream, lambda name: [{}]))
    stream.append("click", [(b"a", b"x" * (1 << 20))])
    assert stream.now("click") == {0: 1}


def test_between_two_looks_a_write_does_not_measure(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "LOOK_SECONDS", 60.0)
    looks = []
    stream = open_stream("memory:")
    stream.create("click", 1)
    held = Backpressure(StreamConfig(), lambda: looks.append(time.monotonic()) or stream, lambda name: [{}])
    for _ in range(100):
        held(("click",))
    assert len(looks) == 1


def test_a_file_of_an_earlier_version_is_read_and_counted_from_now_on(tmp_path):
    path = tmp_path / "store.db"
    with apsw.Connection(str(path)) as db:
        db.execute("CREATE TABLE stream (name TEXT PRIMARY KEY, shards INTEGER NOT NULL, base INTEGER NOT NULL);"
                   "CREATE TABLE chunk (id INTEGER PRIMARY KEY, records INTEGER NOT NULL, time INTEGER NOT NULL,"
                   " size INTEGER NOT NULL, lengths BLOB NOT NULL, data BLOB NOT NULL);"
                   "INSERT INTO stream VALUES ('click', 1, 0);"
                   "INSERT INTO chunk VALUES (0, 1, 5, 3, x'03000000', x'616263')")
    db.close()
    stream = open_stream(f"sqlite:{path}")
    stream.append("click", [(b"a", b"defg")])
    assert [stream.read("click", 0, 0).raw(n) for n in range(2)] == [b"abc", b"defg"]
    assert stream.waiting_bytes("click", {0: 1}) == 4
    stream.close()


def test_who_is_in_a_hurry_neither_waits_nor_is_refused_but_asks_again_later(stages):
    count, _ = sell_until_refused(stages)
    with pytest.raises(hurry.Later), hurry.at_once():
        sell(stages, count)
    assert stages.store.get("sale", [f"s{count}"]) is None
    deliver(stages, "sale", "sale_csv")
    sell(stages, count)
