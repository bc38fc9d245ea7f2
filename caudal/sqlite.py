"""One SQLite file: durable transactions that concurrent writers share, and readers that never wait for them."""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import apsw

from caudal.bell import Bell
from caudal.errors import BackendError, CaudalError, InvalidItem, Unavailable
from caudal.hurry import Later, hurries, may_wait

T = TypeVar("T")

BUSY_MS = 30_000
"""How long a transaction waits for another process's."""

WAL_PAGES = 4_000
"""Pages before a checkpoint. A small log is written over in place, which makes an fsync 1.5 times cheaper than growth."""


class _Job(Generic[T]):
    """One caller's share of a group commit."""

    def __init__(self, work: Callable[[apsw.Connection], T]) -> None:
        self.work = work
        self.wake = threading.Lock()  # held until the job is done, or its caller must lead
        self.wake.acquire()
        self.leads = False
        self.done = False
        self.value: T | None = None
        self.error: BaseException | None = None


class Database:
    """A SQLite file in WAL mode with `synchronous=FULL`: what `transact` returned survives a crash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users: set[int] = set()
        self._jobs: deque[_Job[Any]] = deque()
        self._queue = threading.Lock()
        self._led = False
        self._local = threading.local()
        self._readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()  # a thread's goes when the thread does
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600, exist_ok=True)
            self._writer = self._connect()
            self._writer.execute("PRAGMA journal_mode=WAL").get  # noqa: B018 - runs the statement
            self._writer.execute("PRAGMA synchronous=FULL")
            self._writer.set_wal_hook(self._committed)
        self._is_long = False
        self.bell = Bell(path)
        """Rings after each commit."""

    def _connect(self) -> apsw.Connection:
        db = apsw.Connection(str(self.path))
        db.set_busy_timeout(BUSY_MS)
        db.execute("PRAGMA cache_size=-65536")
        return db

    def transact(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a transaction and return its value once that is durable.

        Whoever comes first leads: it commits the work of all who wait, one fsync for many, then wakes them and hands
        over to the first who came meanwhile. If `work` raises, its own writes are undone, its caller gets the
        exception, and the others go on. Who is in a hurry (see `hurry`) waits for no other writer, and gets Later.
        """
        job = _Job(work)
        with self._queue:
            if self._led or self._is_long:
                may_wait()
            self._jobs.append(job)
            first, self._led = not self._led, True
            job.leads = first
        if not first:  # who is made the leader by now is woken for it, and must take that
            try:
                job.wake.acquire()
            except BaseException:  # a signal: this caller leaves, the others must not wait for it
                self._leave(job)
                raise
        if job.leads:
            self._lead()
        if job.error is not None:
            raise job.error
        return job.value  # type: ignore[return-value]

    def _lead(self) -> None:
        with self._queue:
            # In a hurry nobody waited, so the first job is the leader's own: those who came since may wait, and do it again.
            jobs = [self._jobs.popleft() for _ in range(1 if hurries() else len(self._jobs))]
        try:
            self._commit(jobs)
        finally:
            with self._queue:
                heir = self._jobs[0] if self._jobs else None
                self._led = heir is not None
                if heir is not None:
                    heir.leads = True
            for job in ([heir] if heir is not None else []) + jobs:
                job.wake.release()

    def _leave(self, job: _Job[Any]) -> None:
        with self._queue:
            if job in self._jobs:
                self._jobs.remove(job)
        if job.leads:
            self._lead()

    def _commit(self, jobs: list[_Job[Any]]) -> None:
        try:
            with translated(self.path):
                self._begin()
                if len(jobs) == 1:
                    jobs[0].value = jobs[0].work(self._writer)
                else:
                    for job in jobs:
                        self._run(job)
                self._writer.execute("COMMIT")
        except BaseException as error:
            for job in jobs:
                job.error = job.error or error
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        else:
            self.bell.ring()
        finally:
            for job in jobs:
                job.done = True

    def _begin(self) -> None:
        """Begin to write, once no other process does."""
        if not hurries():
            self._writer.execute("BEGIN IMMEDIATE")
            return
        self._writer.set_busy_timeout(0)
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            raise Later from None
        finally:
            self._writer.set_busy_timeout(BUSY_MS)

    def _committed(self, db: apsw.Connection, name: str, pages: int) -> int:
        """After each commit, with the log's length: move a long one into the file, which takes longer than a commit."""
        self._is_long = pages >= WAL_PAGES
        if self._is_long and not hurries():
            self._is_long = False
            with suppress(apsw.Error):  # a later commit tries it again
                db.wal_checkpoint(name)
        return apsw.SQLITE_OK

    def _run(self, job: _Job[Any]) -> None:
        self._writer.execute("SAVEPOINT job")
        try:
            with translated(self.path):
                job.value = job.work(self._writer)
        except BaseException as error:
            if not self._writer.in_transaction:
                raise  # the disk or the file: SQLite has undone the whole group
            job.error = error
            self._writer.execute("ROLLBACK TO job")
        self._writer.execute("RELEASE job")

    @property
    def reader(self) -> apsw.Connection:
        """This thread's reading connection: each statement sees the last commit."""
        if not hasattr(self._local, "db"):
            with translated(self.path):
                self._local.db = self._connect()
                self._local.db.execute("PRAGMA query_only=ON")
            self._readers.add(self._local.db)
        db: apsw.Connection = self._local.db
        return db

    def close(self, user: object) -> None:
        """Close the file once everybody who opened it has; closing twice is once."""
        with _opening:
            if id(user) not in self.users:
                return
            self.users.remove(id(user))
            if self.users:
                return
            _open.pop(self.path.resolve(), None)
        for db in (*self._readers, self._writer):
            db.close()
        self.bell.close()


_open: dict[Path, Database] = {}
_opening = threading.Lock()


def open_database(path: Path, schema: str, user: object) -> Database:
    """Open the file at `path`, once a process: its users share one writing connection, and so their commits."""
    with _opening:
        found = _open.get(path.resolve())
        if found is None:
            found = Database(path)
            _open[path.resolve()] = found
        found.users.add(id(user))
    try:
        found.transact(lambda db: db.execute(schema).get)
    except BaseException:
        found.close(user)
        raise
    return found


class ReadTransaction:
    """Several reads of one state."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        if self._db.in_transaction:  # else the disk failed, and SQLite has ended it
            self._db.execute("ROLLBACK")


class translated:
    """Turns SQLite's errors into caudal's: `with translated(path):`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error | OSError):
            raise _translation(self._path, error) from error


def _translation(path: Path, error: apsw.Error | OSError) -> CaudalError:
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return Unavailable(f"{path}: another process holds the database: {error}", hint="try again")
    if isinstance(error, apsw.FullError):
        return Unavailable(f"{path}: the disk is full", hint="free some space, then try again")
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | apsw.PermissionsError):
        return BackendError(f"{path}: cannot be written: {error}", hint="check the folder and its permissions")
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        return BackendError(f"{path}: not a database, or damaged: {error}", hint="restore it from a copy")
    if isinstance(error, apsw.IOError):
        return Unavailable(f"{path}: the disk failed: {error}", hint="check the disk, then try again")
    if isinstance(error, apsw.TooBigError):
        return InvalidItem(f"{path}: more than SQLite holds in one place (1 GB)", hint="write less at once")
    if isinstance(error, apsw.Error):
        return BackendError(f"{path}: SQLite says: {error}")
    return BackendError(f"{path}: {error.strerror}", hint="check the folder and its permissions")
