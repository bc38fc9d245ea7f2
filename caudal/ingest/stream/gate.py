"""Backpressure: producers go slower as undelivered records pile up, and are refused before a disk is full. Nothing is dropped."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TypeVar

from caudal.config import StreamConfig
from caudal.errors import CaudalError, Throttled, Unavailable
from caudal.hurry import may_wait
from caudal.ingest.stream.port import Gate, Stream, SupportsBackpressure, SupportsGate
from caudal.records import Positions

S = TypeVar("S")
T = TypeVar("T")

LOOK_SECONDS = 0.2
"""How often it is measured; in between, a write costs a look at the clock."""
SLOW_FROM = 0.75
"""Share of the limit from which writes are slowed down …"""
SLOWEST_SECONDS = 0.1
"""… the more the nearer it is, up to this."""
PATIENCE_SECONDS = 1.0
"""How long a write waits at the limit before it is refused."""
WAITING = 8
"""Writes that wait so at once in a process; more are refused right away, so that its threads are not all taken."""
MB = 1 << 20


class Backpressure:
    """The `Gate` of a pipeline's producers, in all its processes alike: it looks at the stream and at what is delivered."""

    def __init__(self, config: StreamConfig, stream: Callable[[], Stream], reached: Callable[[str], Sequence[Positions]]) -> None:
        """`reached` tells the positions of each delivery of a stream; it is asked only when there is much to wait for."""
        self._limit, self._least_free = config.waiting_mb * MB, config.free_mb * MB
        self._stream, self._reached = stream, reached
        self._looks: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self._looking = threading.Lock()
        self._room = threading.Semaphore(WAITING)

    def __call__(self, names: Collection[str]) -> None:
        """Let writes to these streams pass, sooner or later. Raises Throttled at the limit, Unavailable before a full disk."""
        now = time.monotonic()
        for name in names:
            if now >= self._looks.get(name, 0.0):
                self._look(name, now)
            if self._shares.get(name, 0.0) >= SLOW_FROM:
                self._hold(name)

    def _look(self, name: str, now: float) -> None:
        """Measure, unless another thread does; what cannot be measured now holds nobody back."""
        if not self._looking.acquire(blocking=False):
            if name in self._looks:
                return
            may_wait()
            self._looking.acquire()
        try:
            stream = self._stream()
            if not isinstance(stream, SupportsBackpressure):
                return
            check_space(stream, self._least_free)
            if self._limit:
                with suppress(CaudalError):
                    self._shares[name] = self._waiting(stream, name) / self._limit
            self._looks[name] = now + LOOK_SECONDS
        finally:
            self._looking.release()

    def _waiting(self, stream: SupportsBackpressure, name: str) -> int:
        """Bytes that the slowest delivery lacks. All that is held is an upper limit, which needs no look at the lake."""
        held = stream.waiting_bytes(name, {})
        if held < SLOW_FROM * self._limit:
            return held
        may_wait()
        return waiting_bytes(stream, name, self._reached(name))

    def _hold(self, name: str) -> None:
        may_wait()
        share = self._shares[name]
        if share < 1:
            time.sleep(SLOWEST_SECONDS * (share - SLOW_FROM) / (1 - SLOW_FROM))
        elif not self._clears(name):
            told = f"table {name}: {share * self._limit / MB:,.0f} MB wait to be delivered, and stream.waiting_mb is"
            raise Throttled(f"{told} {self._limit / MB:g}", hint="try again later; `caudal status` says why they wait")

    def _clears(self, name: str) -> bool:
        """Whether deliveries catch up while there is patience."""
        if not self._room.acquire(blocking=False):
            return False
        try:
            until = time.monotonic() + PATIENCE_SECONDS
            while self._shares[name] >= 1 and time.monotonic() < until:
                time.sleep(LOOK_SECONDS / 4)
                self._look(name, time.monotonic())
            return self._shares[name] < 1
        finally:
            self._room.release()


def held_back(stage: S, gate: Gate) -> S:
    """The stream or store, with its producers behind the gate if it can."""
    if isinstance(stage, SupportsGate):
        stage.admit_by(gate)
    return stage


def waiting_bytes(stream: SupportsBackpressure, name: str, reached: Sequence[Positions]) -> int:
    """Bytes of a stream that the slowest of its deliveries lacks."""
    return max((stream.waiting_bytes(name, positions) for positions in reached), default=0)


def check_space(stream: SupportsBackpressure, least: float) -> None:
    """Raises Unavailable if the disk of the stream has less than `least` bytes left."""
    free = stream.free_bytes()
    if free < least:
        told = f"the disk of the store is nearly full: {free / MB:,.0f} MB are left, and stream.free_mb is {least / MB:g}"
        raise Unavailable(told, hint="free some space, then try again")


def patiently(work: Callable[[], T], waits: Callable[[Throttled], None]) -> T:
    """Do what nobody waits for, such as a part of an import, once deliveries have caught up; `waits` hears of each wait."""
    while True:
        try:
            return work()
        except Throttled as error:
            waits(error)
