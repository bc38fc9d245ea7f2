"""Wakes readers in other processes after a commit: one datagram to each socket in a private folder."""

import contextlib
import hashlib
import os
import socket
import tempfile
import threading
from pathlib import Path

POLL_SECONDS = 0.05
"""Readers look again this often even if no bell was heard, for a datagram may be lost."""


class Bell:
    """Rung by whoever committed to the file at `path`; heard by every listener, in any process."""

    def __init__(self, path: Path) -> None:
        # Not beside the database: a socket's path may have at most 107 bytes.
        digest = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=8).hexdigest()
        self._folder = Path(tempfile.gettempdir()) / f"caudal-{os.getuid()}" / digest
        with contextlib.suppress(OSError):  # without the folder nobody is heard, and readers poll
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._local = threading.local()
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._out.setblocking(False)
        self._opened: list[tuple[socket.socket, Path]] = []

    def ring(self) -> None:
        """Wake every listener."""
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 - ten times cheaper, and on every commit
        except OSError:
            return
        for name in names:
            path = self._folder / name
            try:
                self._out.sendto(b"", str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)  # its process is gone
            except OSError:
                pass  # its queue is full: it is awake already

    def wait(self, seconds: float) -> None:
        """Sleep until the bell rings, at most `seconds` or the poll interval."""
        self.listen()
        ear: socket.socket = self._local.ear
        ear.settimeout(max(0.0005, min(seconds, POLL_SECONDS)))
        with contextlib.suppress(TimeoutError):
            ear.recv(1)
        ear.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ear.recv(1)

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
