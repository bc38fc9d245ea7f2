"""The shared SQLite file: group commit, its failures, and who closes it."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import apsw
import pytest

from caudal import hurry
from caudal.errors import BackendError, InvalidItem, Unavailable
from caudal.sqlite import ReadTransaction, open_database, translated

SCHEMA = "CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY)"


@pytest.fixture
def db(tmp_path):
    user = object()
    db = open_database(tmp_path / "a.db", SCHEMA, user)
    yield db
    db.close(user)


def insert(x):
    return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (x,)).get


def rows(db):
    return [x for (x,) in db.reader.execute("SELECT x FROM t ORDER BY x")]


def at_once(db, works):
    """Do the works in one group commit: all of them come while another transaction is under way."""
    def outcome(work):
        try:
            return db.transact(work)
        except Exception as error:
            return error

    under_way, go_on = threading.Event(), threading.Event()

    def slow(connection):
        under_way.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(len(works) + 1) as pool:
        pool.submit(db.transact, slow)
        assert under_way.wait(10)
        futures = [pool.submit(outcome, work) for work in works]
        while len(db._jobs) < len(works):
            pass
        go_on.set()
        return [future.result() for future in futures]


def test_it_is_durable_and_private(db, tmp_path):
    assert db.transact(lambda connection: connection.execute("PRAGMA synchronous").get) == 2
    assert db.transact(lambda connection: connection.execute("PRAGMA journal_mode").get) == "wal"
    db.transact(insert(1))
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600,
    }


def test_sqlite_is_one_without_the_wal_reset_fault():
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)


def test_work_that_raises_is_undone_alone(db):
    def half(connection):
        insert(1)(connection)
        raise KeyError("mine")

    outcomes = at_once(db, [insert(5), half, insert(6)])
    assert [type(outcome) for outcome in outcomes if outcome] == [KeyError]
    assert rows(db) == [5, 6]


def test_work_that_sqlite_refuses_fails_alone_too(db):
    db.transact(insert(1))
    outcomes = at_once(db, [insert(5), insert(1), lambda connection: connection.execute("SELECT nonsense"), insert(6)])
    assert sum(isinstance(outcome, BackendError) for outcome in outcomes) == 2
    assert rows(db) == [1, 5, 6]


def test_work_too_large_for_sqlite_is_refused(db):
    with pytest.raises(InvalidItem, match="1 GB"):
        db.transact(lambda connection: connection.execute("SELECT zeroblob(2000000000)").get)


def test_a_full_disk_is_an_error_that_says_try_again(db):
    pages = db.transact(lambda connection: connection.execute("PRAGMA page_count").get)
    db.transact(lambda connection: connection.execute(f"PRAGMA max_page_count={pages + 5}").get)
    with pytest.raises(Unavailable, match="full") as full:
        db.transact(lambda connection: connection.execute("CREATE TABLE big AS SELECT zeroblob(100000)").get)
    assert full.value.retry
    db.transact(insert(1))
    assert rows(db) == [1]


def test_readers_do_not_wait_for_a_writer_and_cannot_write(db):
    db.transact(insert(1))
    seen = []

    def slow(connection):
        insert(2)(connection)
        reader = threading.Thread(target=lambda: seen.append(rows(db)))
        reader.start()
        reader.join(10)

    db.transact(slow)
    assert seen == [[1]]
    assert rows(db) == [1, 2]
    with pytest.raises(apsw.ReadOnlyError):
        insert(3)(db.reader)


def test_a_read_transaction_that_a_failing_disk_ended_says_try_again(db):
    db.transact(insert(1))
    with pytest.raises(Unavailable, match="the disk failed"), translated(db.path), ReadTransaction(db.reader):
        db.reader.execute("ROLLBACK")  # as SQLite does when it cannot read
        raise apsw.IOError("a fault on purpose")
    with ReadTransaction(db.reader):
        assert rows(db) == [1]
    assert not db.reader.in_transaction


def test_a_thread_takes_its_connection_with_it_when_it_ends(db):
    for _ in range(20):
        thread = threading.Thread(target=rows, args=(db,))
        thread.start()
        thread.join()
    assert len(db._readers) <= 1


def test_users_of_one_file_share_it_until_the_last_closes(tmp_path):
    users = [object(), object()]
    first, second = (open_database(tmp_path / "a.db", SCHEMA, user) for user in users)
    assert first is second
    first.close(users[0])
    first.close(users[0])
    second.transact(insert(1))
    second.close(users[1])
    again = open_database(tmp_path / "a.db", SCHEMA, users[0])
    assert again is not first
    assert rows(again) == [1]
    again.close(users[0])


def test_a_file_that_is_no_database_is_an_error_of_ours_and_can_be_mended(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(BackendError, match="not a database"):
        open_database(path, SCHEMA, self_ := object())
    path.unlink()
    open_database(path, SCHEMA, self_).close(self_)


@pytest.mark.parametrize("name", ["file/a.db", "folder"])
def test_a_place_that_cannot_be_is_an_error_of_ours(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BackendError):
        open_database(tmp_path / name, SCHEMA, object())


def test_many_clients_share_commits_and_nobody_waits_for_ever(db):
    def client(number):
        for n in range(20):
            db.transact(insert(number * 20 + n))

    with ThreadPoolExecutor(32) as pool:
        for future in [pool.submit(client, number) for number in range(32)]:
            future.result(timeout=60)
    assert rows(db) == list(range(640))


def test_a_caller_that_is_interrupted_leaves_the_others_to_go_on(db, tmp_path):
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    done = subprocess.run([sys.executable, script, tmp_path / "b.db"], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["interrupted", "went", "on"], done.stderr


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
from caudal.sqlite import ReadTransaction, open_database, translated

db = open_database(Path(sys.argv[1]), "CREATE TABLE IF NOT EXISTS t (x)", None)
under_way, go_on = threading.Event(), threading.Event()
slow = threading.Thread(target=db.transact, args=(lambda c: (under_way.set(), go_on.wait()),))
slow.start()
under_way.wait()


def interrupt():
    while not db._jobs:  # until the caller waits in the queue
        time.sleep(0.001)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)


threading.Thread(target=interrupt).start()
try:
    db.transact(lambda c: c.execute("INSERT INTO t VALUES (1)"))
except KeyboardInterrupt:
    print("interrupted")
go_on.set()
slow.join()
db.transact(lambda c: c.execute("INSERT INTO t VALUES (2)"))
print("went on")
"""


def test_a_caller_that_is_made_the_leader_before_it_waits_does_not_lead_twice(db):
    """The one before it is done while it has not looked yet whether it leads."""
    leading, queued, done = (threading.Event() for _ in range(3))

    class Queue:
        """The lock of the callers; the second one dawdles once it has let go."""

        def __init__(self, lock):
            self.lock = lock

        def __enter__(self):
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()
            if threading.current_thread().name == "second" and not queued.is_set():
                queued.set()
                assert done.wait(10)

    db._queue = Queue(db._queue)

    def first():
        def work(connection):
            leading.set()
            assert queued.wait(10)

        db.transact(work)
        done.set()

    found = []
    threads = [
        threading.Thread(target=first, name="first"),
        threading.Thread(target=lambda: found.append(db.transact(lambda connection: 2)), name="second"),
    ]
    threads[0].start()
    assert leading.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join(20)
    assert found == [2]
    assert db.transact(lambda connection: 3) == 3


def waits_for_none(db, x):
    """Insert in a hurry; whether it was done."""
    try:
        with hurry.at_once():
            db.transact(insert(x))
    except hurry.Later:
        return False
    return True


def test_who_is_in_a_hurry_writes_if_nobody_else_does(db):
    assert waits_for_none(db, 1)
    assert rows(db) == [1]
    with pytest.raises(BackendError), hurry.at_once():
        db.transact(insert(1))
    assert waits_for_none(db, 2)
    assert rows(db) == [1, 2]


def test_who_is_in_a_hurry_does_not_wait_for_other_threads(db):
    under_way, go_on = threading.Event(), threading.Event()

    def slow(connection):
        under_way.set()
        assert go_on.wait(10)
        return insert(1)(connection)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(db.transact, slow)
        assert under_way.wait(10)
        assert not waits_for_none(db, 2)
        go_on.set()
        first.result(10)
    assert rows(db) == [1]


def test_who_is_in_a_hurry_does_not_wait_for_other_processes_and_those_who_came_since_do(db, tmp_path):
    other = apsw.Connection(str(tmp_path / "a.db"))
    other.execute("BEGIN IMMEDIATE")
    begin, waiting = db._begin, []

    def begin_once_another_waits():
        if hurry.hurries():
            waiting.append(pool.submit(db.transact, insert(2)))
            while not db._jobs:
                pass
        begin()

    with ThreadPoolExecutor(1) as pool:
        db._begin = begin_once_another_waits
        assert not waits_for_none(db, 1)
        other.execute("COMMIT")
        waiting[0].result(10)
    other.close()
    assert rows(db) == [2]


def test_who_is_in_a_hurry_leaves_the_move_of_a_long_log_to_others(db, monkeypatch):
    monkeypatch.setattr("caudal.sqlite.WAL_PAGES", 30)
    done = 0
    while waits_for_none(db, done):
        done += 1
        assert done < 100
    assert done > 10
    db.transact(insert(done))  # moves it
    assert waits_for_none(db, done + 1)
    assert rows(db) == list(range(done + 2))


def test_the_log_stays_short(db, tmp_path, monkeypatch):
    monkeypatch.setattr("caudal.sqlite.WAL_PAGES", 30)
    for x in range(300):
        db.transact(insert(x))
    assert (tmp_path / "a.db-wal").stat().st_size < 40 * 4200
