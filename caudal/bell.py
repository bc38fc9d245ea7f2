"""Wakes readers in other processes after a commit: one datagram to each socket in a private folder."""

import contextlib
import hashlib
import os
import socket
import tempfile
import threading
import time
from pathlib import Path

POLL_SECONDS = 0.05
"""Readers look again this often even if no bell was heard, for a datagram may be lost."""
SETTLED_NS = 100_000_000
"""A folder that was last changed so long ago has changed since only if its time has: file systems' clocks have coarse ticks."""


class Bell:
    """Rung by whoever committed to the file at `path`; heard by every listener, in any process."""

    def __init__(self, path: Path) -> None:
        # Not beside the database: a socket's path may have at most 107 bytes.
        digest = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=8).hexdigest()
        self._folder = Path(tempfile.gettempdir()) / f"caudal-{os.getuid()}" / digest
        self._place = str(self._folder)
        with contextlib.suppress(OSError):  # without the folder nobody is heard, and readers poll
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._local = threading.local()
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._out.setblocking(False)
        self._heard: tuple[int, list[str]] = -1, []  # who listens, and the folder's time at which that was so
        self._opened: list[tuple[socket.socket, Path]] = []

    def ring(self) -> None:
        """Wake every listener."""
        try:
            listeners = self._listeners()
        except OSError:
            return
        for path in listeners:
            try:
                self._out.sendto(b"", path)
            except ConnectionRefusedError:
                Path(path).unlink(missing_ok=True)  # its process is gone
            except OSError:
                pass  # its queue is full: it is awake already

    def _listeners(self) -> list[str]:
        """Sockets of all who listen. After every commit, so the folder is read again only when somebody came or went."""
        at, listeners = self._heard
        changed = os.stat(self._place).st_mtime_ns  # noqa: PTH116 - twice as cheap
        if changed != at:
            listeners = [f"{self._place}/{name}" for name in os.listdir(self._place)]  # noqa: PTH208 - ten times cheaper
            if time.time_ns() - changed > SETTLED_NS:
                self._heard = changed, listeners
        return listeners

    def wait(self, seconds: float) -> bool:
        """Sleep until the bell rings, at most `seconds` or the poll interval; whether it rang."""
        self.listen()
        ear: socket.socket = self._local.ear
        ear.settimeout(max(0.0005, min(seconds, POLL_SECONDS)))
        try:
            ear.recv(1)
        except TimeoutError:
            return False
        ear.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ear.recv(1)
        return True

    def listen(self) -> None:
        """Start to hear, so that a ring between a look and `wait` is not missed."""
        if hasattr(self._local, "ear"):
            return
        path = self._folder / f"{os.getpid()}-{threading.get_native_id()}-{os.urandom(3).hex()}"
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            ear.bind(str(path))
        self._opened.append((ear, path))
        self._local.ear = ear

    def close(self) -> None:
        """Stop hearing and ringing."""
        for ear, path in self._opened:
            ear.close()
            path.unlink(missing_ok=True)
        self._out.close()
