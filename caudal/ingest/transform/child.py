"""What runs in a worker: loads the program that it is told of, and answers one request after the other.

Run by its path, with nothing of caudal imported: where to import from is the first thing that it is told.
"""

import contextlib
import ctypes
import importlib.util
import json
import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

Tell = Callable[[int, int], None]
Answer = Callable[[memoryview, Tell], Sequence[Any]]
"""From a request's bytes to the bytes of the answer, in pieces; may tell which part of the request it is at.

One that raises ends the process: what is to be told of an error is part of the answer.
"""

_LENGTH = struct.Struct(">Q")
RUNNING = struct.Struct("=qq")
"""Which part of the request is being worked on: from, up to; in memory that both processes see."""

_PR_SET_PDEATHSIG = 1


class Link:
    """Messages of bytes, whole, over a socket."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    def send(self, *pieces: Any) -> None:
        """Send one message. Raises OSError if nobody reads."""
        views = [memoryview(piece).cast("B") for piece in pieces]
        self.socket.sendall(_LENGTH.pack(sum(view.nbytes for view in views)))
        for view in views:
            self.socket.sendall(view)

    def receive(self) -> memoryview | None:
        """The next message; None if the other side is gone."""
        head = self._exactly(_LENGTH.size)
        return None if head is None else self._exactly(*_LENGTH.unpack(head))

    def _exactly(self, size: int) -> memoryview | None:
        whole = memoryview(bytearray(size))
        rest = whole
        while rest.nbytes:
            got = self.socket.recv_into(rest)
            if not got:
                return None
            rest = rest[got:]
        return whole


class _ByFile(MetaPathFinder):
    """Finds modules that no import path leads to where the other process has them from, as pipeline files."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        file = self._files.get(fullname)
        return importlib.util.spec_from_file_location(fullname, file) if file else None


def serve(link: Link, running: mmap.mmap) -> None:
    """Load the program, say what is wrong with it if anything is, and answer until the other side is gone."""
    first, argument = link.receive(), link.receive()
    if first is None or argument is None:
        return
    told = json.loads(bytes(first))
    sys.path[:] = told["path"]
    sys.meta_path.append(_ByFile(told["files"]))
    try:
        module, _, name = told["program"].partition(":")
        answer: Answer = getattr(importlib.import_module(module), name)(bytes(argument))
    except (Exception, SystemExit) as error:  # whatever the user's modules raise
        link.send(f"{type(error).__name__}: {error}".encode("utf-8", "replace"))
        return
    link.send(b"")

    def tell(start: int, stop: int) -> None:
        RUNNING.pack_into(running, 0, start, stop)

    while (request := link.receive()) is not None:
        link.send(*answer(request, tell))


def _bind(parent: int) -> None:
    """End with the parent, however it ends, and before it when memory runs out."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent:
        os._exit(1)


def main(parent: int, link: int, running: int) -> None:
    """Serve over the socket and the shared memory of these file descriptors."""
    _bind(parent)
    with mmap.mmap(running, RUNNING.size) as shared, socket.socket(fileno=link) as end, contextlib.suppress(OSError):
        serve(Link(end), shared)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
