"""Faults of a machine, at the calls where they would come: whatever SQLite and the lake's files ask of the disk.

    kill      the process dies, kill -9
    torn      half of what was to be written is, and the process dies
    full      no space left on the device
    readonly  the file system has become read-only
    fsync     the disk does not say that it has what was written
    unreadable  the disk does not give back what was written
    slow      each call takes its time
    clock     the clock jumps, a day or a year, back or forward
"""

import errno
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

import caudal.lake.files.local as local
import caudal.lake.iceberg.fileio as iceberg

FAULTS = ("kill", "torn", "full", "readonly", "fsync", "unreadable", "slow", "clock")
DEADLY = ("kill", "torn")
READING = ("kill", "unreadable", "slow", "clock")
"""Those that come to whoever only reads, too."""

_ERRORS = {
    "full": (errno.ENOSPC, apsw.FullError), "readonly": (errno.EROFS, apsw.IOError), "fsync": (errno.EIO, apsw.IOError),
    "unreadable": (errno.EIO, apsw.IOError),
}
_ALL = ("write", "sync", "make", "remove", "read")
_CALLS = {
    "kill": _ALL, "torn": ("write",), "full": ("write", "make"), "readonly": ("write", "make", "remove"),
    "fsync": ("sync",), "unreadable": ("read",), "slow": _ALL, "clock": _ALL,
}


class Strikes:
    """One kind of fault, which comes at random calls while it is `armed`; errors come for a while, as they do."""

    def __init__(self, fault: str, chance: random.Random, gap: int) -> None:
        """`gap`: at most so many calls between two strikes."""
        self.fault, self.chance, self.armed, self.count = fault, chance, False, 0
        self.days = 0
        self._until = 0.0
        self._gap = min(gap, {"fsync": 6, "unreadable": 8}.get(fault, gap))
        self._next = chance.randrange(self._gap, 3 * self._gap)

    def at(self, call: str, half: Callable[[], object], is_sqlite: bool) -> None:
        """Called before each call of the disk; `half` writes half of what is to be written."""
        if not self.armed or call not in _CALLS[self.fault]:
            return
        self._next -= 1
        if self._next > 0 and time.monotonic() > self._until:
            return
        if self._next <= 0:
            self._next = self.chance.randrange(1, self._gap)
            self._until = time.monotonic() + self.chance.choice([0, 0, 0.02])
            self.count += 1
        if self.fault == "slow":
            time.sleep(self.chance.random() * 0.02)
        elif self.fault == "clock":
            self.days = self.chance.choice([-365, -1, 0, 1, 365])
        elif self.fault in DEADLY:
            if self.fault == "torn":
                half()
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            number, error = _ERRORS[self.fault]
            raise error("a fault on purpose") if is_sqlite else OSError(number, os.strerror(number))


def install(strikes: Strikes) -> None:
    """Put the strikes before the disk, for this process."""
    _Disk(strikes)
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + strikes.days * 86_400
    time.time_ns = lambda: nanoseconds() + strikes.days * 86_400_000_000_000

    def before(call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            strikes.at(call, lambda: None, False)
            return real(*args, **kwargs)
        return run

    calls = {"fsync": "sync", "mkdir": "make", "link": "make", "rename": "make", "unlink": "remove"}
    for name, call in calls.items():
        setattr(os, name, before(call, getattr(os, name)))
    for module in (local, iceberg):
        module.open = lambda *args, **kwargs: _Object(open(*args, **kwargs), strikes)  # type: ignore[attr-defined]  # noqa: PTH123, SIM115
    Path.read_bytes = before("read", Path.read_bytes)  # type: ignore[method-assign]


class _Object:
    """A file of the lake, or of Iceberg, that is being written."""

    def __init__(self, file: Any, strikes: Strikes) -> None:
        self._file, self._strikes = file, strikes

    def write(self, data: bytes) -> int:
        self._strikes.at("write", lambda: self._write(data[: len(data) // 2]), False)
        return self._write(data)

    def _write(self, data: bytes) -> int:
        written: int = self._file.write(data)
        self._file.flush()
        return written

    def __enter__(self) -> "_Object":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Disk(apsw.VFS):
    """What SQLite takes for the disk."""

    def __init__(self, strikes: Strikes) -> None:
        self._strikes = strikes
        super().__init__("struck", base=_REAL, makedefault=True)
        _KEPT.append(self)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _DatabaseFile(name, flags, self._strikes)


_KEPT: list[_Disk] = []
_REAL = apsw.vfs_names()[0]


class _DatabaseFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], strikes: Strikes) -> None:
        self._strikes = strikes
        super().__init__(_REAL, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._strikes.at("write", lambda: super(_DatabaseFile, self).xWrite(data[: len(data) // 2], offset), True)
        super().xWrite(data, offset)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._strikes.at("read", lambda: None, True)
        read: bytes = super().xRead(amount, offset)
        return read

    def xSync(self, flags: int) -> None:
        self._strikes.at("sync", lambda: None, True)
        super().xSync(flags)
