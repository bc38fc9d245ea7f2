"""A private folder for as long as somebody uses it; what killed processes left behind goes at the next opening."""

import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from caudal.errors import Unavailable

HINT = "make room where temporary files are, or have TMPDIR name another folder"

_PREFIX = "caudal-query-"
_LOCK = "lock"


class Scratch:
    """A folder below the system's own for temporary files. A lock on a file in it says that its process lives.

    Raises Unavailable if there is no room for it.
    """

    def __init__(self) -> None:
        _sweep()
        with _room():
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            with _room():
                lock = os.open(self.folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except Unavailable:
            self.folder.rmdir()
            raise
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.close = weakref.finalize(self, _remove, self.folder, lock)
        """Removes the folder, once."""


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"no folder for temporary files: {error.strerror}", hint=HINT) from error


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _sweep() -> None:
    """Remove the folders of processes that are gone. One without a lock is about to get it, and stays."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's, or gone meanwhile
            lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
