"""Transforms whose function runs in a process of its own: it may hang, leak or die, and its neighbours are delivered."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa

from caudal.config import Config
from caudal.contract import Contract, UserFunction
from caudal.ingest.transform.functions import Call, Made
from caudal.ingest.transform.inprocess import InprocessTransform
from caudal.ingest.transform.printed import Printed
from caudal.ingest.transform.remote import TARGET, ask, packed
from caudal.ingest.transform.values import Misfit
from caudal.ingest.transform.worker import Program, Worker, WorkerDied

CALL_ROWS = 8192
"""Rows that a worker is given at once, but for a function per batch, which is given all: between calls, leaks are seen."""

PIECES = 16
"""Into how many a part is cut that a worker died of: dying is dear, so the fewer deaths to the record at fault, the better."""

PATIENCE = 20
"""How many times its seconds a function may be waited for in vain, of one run of records."""


class ProcessTransform(InprocessTransform):
    """Decodes here, and calls the user's function in a worker, started with the first record."""

    def __init__(self, source: Contract, into: Contract, function: UserFunction | None, config: Config) -> None:
        super().__init__(source, into, function)
        self._config = config
        self._worker: Worker | None = None
        self._starting = threading.Lock()

    @classmethod
    def open(cls, url: str, source: Contract, into: Contract, function: UserFunction | None, config: Config) -> Self:
        return cls(source, into, function, config)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.end()

    def _called(self, call: Call, rows: pa.Table) -> Made:
        if not len(rows):
            return Made(call.into.row_schema.empty_table(), {}, Counter())
        with self._starting:
            if self._worker is None:
                self._worker = self._for(call)
        step = len(rows) if call.function.each == "batch" else CALL_ROWS
        made = _insist(partial(ask, self._worker), rows, step, self._config.transform.seconds)
        parts = sorted(made, key=lambda part: part.start)
        failures: dict[int, Misfit] = {}
        warnings: Counter[str] = Counter()
        for part in parts:
            failures |= part.made.failures
            warnings += part.made.warnings
        tables = [part.made.rows for part in parts if len(part.made.rows)]
        return Made(pa.concat_tables(tables) if tables else call.into.row_schema.empty_table(), failures, warnings)

    def _for(self, call: Call) -> Worker:
        limits = self._config.transform
        program = Program(call.function.name, TARGET, packed(call), seconds=limits.seconds, memory_mb=limits.memory_mb)
        return Worker(program, Printed(Path(self._config.folder) / "printed" / f"{call.into.name}.log").write)


class _Part(NamedTuple):
    """What became of the rows from `start`."""

    start: int
    made: Made


def _insist(ask: Callable[[pa.Table], Made], rows: pa.Table, step: int, seconds: float) -> Iterator[_Part]:
    """What became of the rows, in parts: one that the worker dies of is cut and asked for again.

    A record fails once a worker that did nothing else has died of it alone. Once PATIENCE × `seconds` were lost on deaths, all
    that are left fail.
    """
    waiting = _cut(0, len(rows), step)
    lost = 0.0
    while waiting:
        start, stop = waiting.pop(0)
        part = rows.slice(start, stop - start)
        began = time.monotonic()
        try:
            yield _Part(start, ask(part))
        except WorkerDied as died:
            lost += min(seconds, time.monotonic() - began)  # before its last call it may have worked for long
            if lost > PATIENCE * seconds:
                rest = [rows.slice(start, stop - start) for start, stop in [(start, stop), *waiting]]
                yield _Part(start, _failed(pa.concat_tables(rest), died, f"not tried alone, for others took too long: {died}"))
                return
            if stop - start == 1 and died.fresh:
                yield _Part(start, _failed(part, died, str(died)))
            else:
                waiting = [*_suspects(start, stop, died), *waiting]


def _suspects(start: int, stop: int, died: WorkerDied) -> list[tuple[int, int]]:
    """The rows from `start` to `stop` in parts: first those that the worker was at, cut up, then those before and after."""
    at, to = (start + n for n in died.running)
    if not start <= at < to <= stop:
        at, to = start, stop
    # If memory ran out after some rows, it may be these that filled it: half as many at once leave room.
    step = max(1, (at - start) // 2) if died.why == "memory" and at > start else stop - start
    return [*_cut(at, to, -(-(to - at) // PIECES)), *_cut(start, at, step), *_cut(to, stop, step)]


def _cut(start: int, stop: int, step: int) -> list[tuple[int, int]]:
    return [(low, min(low + step, stop)) for low in range(start, stop, step)]


def _failed(rows: pa.Table, died: WorkerDied, detail: str) -> Made:
    why = Misfit(f"transform_{died.why}", detail)
    return Made(rows.slice(0, 0), dict.fromkeys(rows["_position"].to_pylist(), why), Counter())
