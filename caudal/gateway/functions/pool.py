"""One version of a function's code and configuration, and the warm workers that run it."""

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from caudal.errors import Unavailable
from caudal.ingest.transform.worker import Program, Worker, WorkerDied
from caudal.lake.files.durable import private

CONCURRENT = 10
"""Calls of one function that run at once; a further one waits."""
STANDSTILL_SECONDS, MOST = 0.5, 50
"""When none of them has ended for so long, one that waits runs as well, up to so many: they may be waiting for it."""
LOG_BYTES = 16 << 20
"""Size from which a function's log begins anew, the old one kept beside."""


class Outcome(NamedTuple):
    """What became of a call."""

    failed: bool
    payload: bytes
    log: str
    """The end of what it printed, with Lambda's own lines around it."""


@dataclass(frozen=True)
class Settings:
    """What a function's workers are started with."""

    name: str
    arn: str
    handler: str
    folder: Path
    """Its code."""
    seconds: float
    memory_mb: int
    environment: Mapping[str, str]


class Pool:
    """Runs one function, in as many processes as there are calls at once."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log
        self._idle: list[Worker] = []
        self._free = threading.Semaphore(CONCURRENT)
        self._lock = threading.Lock()
        self._closed = False
        self._extra = 0
        self._moved = time.monotonic()
        """When a call last ended, or began beside the others."""
        stream = time.strftime("%Y/%m/%d/", time.gmtime()) + f"[$LATEST]{uuid.uuid4().hex}"
        self._told = {
            "name": settings.name, "version": "$LATEST", "arn": settings.arn, "memory_mb": settings.memory_mb,
            "handler": settings.handler, "seconds": settings.seconds, "stream": stream,
        }

    def invoke(self, payload: bytes, client_context: Any = None) -> Outcome:
        """Call the function; returns what it made, whatever that was."""
        call = {"id": str(uuid.uuid4()), "client_context": client_context}
        with self._place():
            worker = self._take()
            began = time.monotonic()
            try:
                head, _, made = bytes(worker.call(json.dumps(call).encode(), b"\n", payload)).partition(b"\n")
                told = json.loads(head)
                failed, log = told["failed"], told["log"]
            except WorkerDied as died:
                failed, made, log = True, self._died(died, call["id"]), ""
            except Unavailable as error:
                failed, made, log = True, _error("Runtime.ExitError", str(error)), ""
            finally:
                self._give_back(worker)
        return Outcome(failed, made, self._lines(call["id"], log, time.monotonic() - began))

    def close(self) -> None:
        """End the workers; one that runs a call ends after it."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places, or one more if nothing moves: a function may call itself, and wait for that."""
        while not (one := self._free.acquire(timeout=STANDSTILL_SECONDS)):
            with self._lock:
                if time.monotonic() - self._moved >= STANDSTILL_SECONDS and self._extra < MOST - CONCURRENT:
                    self._extra += 1
                    self._moved = time.monotonic()
                    break
        try:
            yield
        finally:
            with self._lock:
                self._moved = time.monotonic()
                self._extra -= not one
            if one:
                self._free.release()

    def _take(self) -> Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        settings = self._settings
        return Worker(Program(
            settings.name, "caudal.gateway.functions.runtime:open", json.dumps(self._told).encode(), settings.seconds,
            settings.memory_mb, (str(settings.folder),), settings.environment,
        ), self._write)

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < CONCURRENT:
                self._idle.append(worker)
                return
        worker.end()

    def _died(self, died: WorkerDied, id: str) -> bytes:
        if died.why == "timeout":
            return _error("Sandbox.Timedout", f"RequestId: {id} Error: Task timed out after {self._settings.seconds:.2f} seconds")
        if died.why == "memory":
            return _error("Runtime.OutOfMemory", f"RequestId: {id} Error: Runtime exited with error: signal: killed")
        return _error("Runtime.ExitError", f"RequestId: {id} Error: Runtime exited: {died}")

    def _lines(self, id: str, log: str, seconds: float) -> str:
        took = f"Duration: {1000 * seconds:.2f} ms\tMemory Size: {self._settings.memory_mb} MB"
        return f"START RequestId: {id} Version: $LATEST\n{log}END RequestId: {id}\nREPORT RequestId: {id}\t{took}\n"

    def _write(self, data: bytes) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".old"))
        with open(self._log, "ab", opener=private) as file:
            file.write(data)


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def environment(given: Mapping[str, str], fixed: Mapping[str, str]) -> dict[str, str]:
    """A worker's whole environment: nothing of this process's but where programs and libraries are."""
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
    return {**inherited, "TZ": ":UTC", "PYTHONUNBUFFERED": "1", **fixed, **given}
