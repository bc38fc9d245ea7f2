"""A process that runs a program of the user's: warm, with limits, started again once it has died."""

import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import POLLIN, poll
from typing import Any, ClassVar, Literal

from caudal.errors import BackendError, Unavailable
from caudal.ingest.transform import child
from caudal.ingest.transform.child import RUNNING, Link

TICK_SECONDS = 0.05
"""How often time and memory are looked at."""

START_SECONDS = 60.0
"""How long a worker may take to load its program."""

END_SECONDS = 1.0
"""How long an idle worker has to end by itself."""

Why = Literal["timeout", "memory", "crashed"]


class WorkerDied(BackendError):
    """The worker died, or was ended for what it took, in the middle of a call."""

    retry: ClassVar[bool] = True

    def __init__(self, why: Why, message: str, running: tuple[int, int], fresh: bool) -> None:
        super().__init__(message, hint="look at what the function prints; a limit is raised in [transform]")
        self.why: Why = why
        self.running = running
        """The part of the request that it was at, as the program told: from, up to; (0, 0) if it did not."""
        self.fresh = fresh
        """Whether this was its first call."""


@dataclass(frozen=True)
class Program:
    """What a worker runs and within which limits."""

    name: str
    """What errors call it."""
    target: str
    """`module:function`: given `argument`, it returns what answers a request (`caudal.ingest.transform.child.Answer`)."""
    argument: bytes = b""
    seconds: float = 30.0
    """Between two calls of `tell`, or from a request to its answer."""
    memory_mb: int = 1024
    """Memory of its own, shared libraries not counted. Measured on Linux alone."""
    path: tuple[str, ...] = ()
    """Folders to import from before all others: an unpacked handler's."""
    environment: Mapping[str, str] | None = None
    """Its whole environment; None for that of this process."""


class Worker:
    """Runs a program in a process of its own. One call at a time; the process is started with the first."""

    def __init__(self, program: Program, log: Callable[[bytes], None]) -> None:
        """`log` is given what the process prints, on a thread of its own; an OSError of it is passed over."""
        self.program = program
        self._log = log
        self._lives: list[_Life] = []  # none or one
        self._lock = threading.Lock()
        weakref.finalize(self, _end_all, self._lives)

    def call(self, *request: Any) -> memoryview:
        """The program's answer to a request, given as pieces of bytes.

        Raises WorkerDied, and Unavailable if the program cannot be loaded.
        """
        with self._lock:
            life = self._living()
            life.begin(self.program.seconds)
            try:
                answer = life.exchange(request)
            except BaseException:  # interrupted: what comes next on the link would be the answer to this
                life.end(kindly=False)
                raise
            finally:
                life.since = None
            fresh, life.calls = not life.calls, life.calls + 1
            if answer is None:
                self._lives.clear()
                raise WorkerDied(*life.ending(), running=life.running(), fresh=fresh)
            if life.has_grown():
                _end_all(self._lives)
        return answer

    def end(self) -> None:
        """End the process; the next call starts another."""
        with self._lock:
            _end_all(self._lives)

    def _living(self) -> "_Life":
        if self._lives and not self._lives[0].is_usable():
            _end_all(self._lives)
        if not self._lives:
            try:
                self._lives.append(_Life(self.program, self._log))
                problem = self._lives[0].load()
            except (OSError, RuntimeError) as error:  # no more files or threads
                problem = str(error)
            if problem:
                _end_all(self._lives)
                raise Unavailable(f"{self.program.name} cannot be loaded in a process of its own: {problem}",
                                  hint="see docs/transform.md, or set [transform] url = 'inprocess:'")
        return self._lives[0]


def _end_all(lives: "list[_Life]") -> None:
    while lives:
        lives.pop().end(kindly=True)


_SIGNALS = {each.value: each.name for each in signal.Signals}


class _Life:
    """One process, from its start to its end.

    A thread starts it, watches it, and reads what it prints, until it has ended: the kernel ends a process with the thread
    that started it, so this must not be one of the caller's.
    """

    def __init__(self, program: Program, log: Callable[[bytes], None]) -> None:
        self._program, self._log = program, log
        self._owner = os.getpid()
        ours, self._theirs = socket.socketpair()
        self._link = Link(ours)
        with tempfile.TemporaryFile() as file:
            file.truncate(RUNNING.size)
            self._shared = mmap.mmap(file.fileno(), RUNNING.size)
            self._shared_file = os.dup(file.fileno())
        self._process: subprocess.Popen[bytes] | None = None
        self._seconds = START_SECONDS
        self._why: Why | None = None
        self._kill_at: float | None = None
        self._first_memory = 0
        self._seen, self._moved = (0, 0), 0.0
        self._problem = ""
        self.calls = 0
        self.since: float | None = None
        self._keeper = threading.Thread(target=self._keep, args=os.pipe(), name=f"worker of {program.name}", daemon=True)
        self._keeper.start()

    def load(self) -> str:
        """Have the program loaded; what went wrong, or ""."""
        self.begin(START_SECONDS)
        first = {"path": [*self._program.path, *sys.path], "files": _files(), "program": self._program.target}
        try:
            self._link.send(json.dumps(first).encode())
            answer = self.exchange((self._program.argument,))
        finally:
            self.since = None
        return self.ending()[1] if answer is None else bytes(answer).decode()

    def begin(self, seconds: float) -> None:
        """Count the time from now."""
        RUNNING.pack_into(self._shared, 0, 0, 0)
        self._seconds, self.since = seconds, time.monotonic()

    def exchange(self, request: tuple[Any, ...]) -> memoryview | None:
        """Send a request and wait for its answer; None if the process died."""
        try:
            self._link.send(*request)
            return self._link.receive()
        except OSError:
            return None

    def running(self) -> tuple[int, int]:
        start, stop = RUNNING.unpack_from(self._shared)
        return start, stop

    def is_usable(self) -> bool:
        process = self._process
        if os.getpid() != self._owner or self._why is not None or not self._keeper.is_alive():
            return False
        return process is not None and not _has_ended(process)

    def has_grown(self) -> bool:
        """Whether more than half of what was free after the first call is used up: something leaks."""
        memory = self._memory()
        if self.calls == 1:
            self._first_memory = memory
        return memory > (self._first_memory + (self._program.memory_mb << 20)) / 2

    def ending(self) -> tuple[Why, str]:
        """Why the process ended, once it has."""
        self._join()
        name = self._program.name
        if self._why == "timeout":
            return "timeout", f"{name} took longer than {self._seconds:g} s"
        if self._why == "memory":
            return "memory", f"{name} took more than {self._program.memory_mb} MB of memory"
        if self._process is None:
            return "crashed", f"no process for {name}: {self._problem}"
        code = self._process.returncode
        how = f"with code {code}" if code >= 0 else f"by {_SIGNALS.get(-code, f'signal {-code}')}"
        return "crashed", f"the process of {name} ended {how}"

    def end(self, kindly: bool) -> None:
        """End the process and wait for it; in a fork of the process that started it, nothing happens."""
        if os.getpid() != self._owner:
            return
        self._kill_at = time.monotonic() + (END_SECONDS if kindly else 0)
        with suppress(OSError):
            self._link.socket.shutdown(socket.SHUT_WR)
        self._join()

    def _join(self) -> None:
        self._keeper.join()
        self._link.socket.close()  # here, for only who calls knows that nobody reads from it

    def _keep(self, printed: int, prints: int) -> None:
        inherited = self._theirs.fileno(), self._shared_file
        command = [sys.executable, "-P", "-u", "-X", "faulthandler", child.__file__, *map(str, (os.getpid(), *inherited))]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=prints, stderr=prints, pass_fds=inherited,
                                             start_new_session=True, env=self._program.environment)
        except (OSError, ValueError) as error:
            self._problem = str(error)
        finally:
            os.close(prints)
            os.close(self._shared_file)
            self._theirs.close()
        try:
            if self._process is not None:
                self._watch(self._process, printed)
        finally:
            os.close(printed)

    def _watch(self, process: "subprocess.Popen[bytes]", printed: int) -> None:
        while not _has_ended(process):
            if not self._read(printed, TICK_SECONDS):
                time.sleep(TICK_SECONDS / 10)  # it is about to end, or has closed its output
            self._why = self._why or self._overstepped()
            if self._why or (self._kill_at is not None and time.monotonic() >= self._kill_at):
                _kill(process)
        _kill(process)  # what it started and left behind
        process.wait()
        self._read(printed, 0)
        with suppress(OSError):
            self._link.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for an answer

    def _overstepped(self) -> Why | None:
        since, running = self.since, self.running()
        if running != self._seen:
            self._seen, self._moved = running, time.monotonic()
        if since is not None and time.monotonic() - max(since, self._moved) > self._seconds:
            return "timeout"
        return "memory" if self._memory() > self._program.memory_mb << 20 else None

    def _read(self, printed: int, seconds: float) -> bool:
        """Pass on some of what was printed, waiting a while for it; False if there will be no more."""
        waiting = poll()
        waiting.register(printed, POLLIN)
        if not waiting.poll(seconds * 1000):
            return True
        data = os.read(printed, 1 << 16)
        if data:
            with suppress(OSError):  # a full disk costs what was printed, nothing else
                self._log(data)
        return bool(data)

    def _memory(self) -> int:
        """Bytes of memory that are the process's own; 0 where this cannot be known."""
        try:
            assert self._process is not None
            numbers = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        except OSError:
            return 0
        return (int(numbers[1]) - int(numbers[2])) * mmap.PAGESIZE


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):  # nothing is left to kill
        os.killpg(process.pid, signal.SIGKILL)


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it has; where the system can, it is not forgotten yet: its number is nobody else's until all of it is ended."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _files() -> dict[str, str]:
    """Modules to their files: one that no import path leads to, as a pipeline file, must be found in the worker too."""
    found = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if "." not in name}
    return {name: file for name, file in found.items() if file and file.endswith(".py") and name != "__main__"}
