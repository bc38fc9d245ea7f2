"""A thread that follows one stream from a snapshot on."""

import time
from collections.abc import Callable
from typing import NamedTuple

from caudal.background import Background
from caudal.errors import CaudalError, Trimmed
from caudal.ingest.stream import Stream
from caudal.records import Positions, Records

WAIT_SECONDS = 0.1
"""Longest sleep before the thread looks whether it shall stop."""
RETRY_SECONDS = 0.2


class Start(NamedTuple):
    """What was loaded, and from where to read on."""

    positions: Positions
    newest: int
    """Event time of the newest row loaded, microseconds since 1970, UTC; 0 if there was none."""


class Health(NamedTuple):
    """How far a follower is, by the data."""

    live: bool
    """Whether its thread runs."""
    behind: int
    """Records at the source that are not applied."""
    lag_seconds: float
    """From the newest event applied to the newest at the source, and at least how long the oldest that is not applied
    has been waiting; 0 when nothing is behind."""
    newest: int
    """Event time of the newest event applied, microseconds since 1970, UTC; 0 if there was none."""
    problem: str
    """Why it stopped, or what it is retrying; "" if all is well."""


class Follower(Background):
    """Applies each run of records of one stream within milliseconds of its being written.

    What may pass (`error.retry`) is tried again; records that are no longer kept make it load the snapshot anew; any
    other failure ends the thread, and `health` says so.
    """

    def __init__(self, stream: Stream, name: str, load: Callable[[], Start], apply: Callable[[Records], None]) -> None:
        super().__init__(f"follow {name}", self._step)
        self.name = name
        self._stream, self._load, self._apply = stream, load, apply
        self._problem = ""
        self._newest = 0
        self.positions: Positions = {}
        """Shard to the position of the next record to apply."""

    def start(self) -> None:
        """Load the snapshot, then follow. Raises what loading raises."""
        self._begin()
        super().start()

    def health(self) -> Health:
        """Measured now, from the stream itself."""
        ends = self._stream.ends(self.name)
        seen, newest = dict(self.positions), self._newest
        waiting = {shard: end.next for shard, end in ends.items() if end.next > seen.get(shard, 0)}
        behind = sum(end - seen.get(shard, 0) for shard, end in waiting.items())
        lag = self._lag({shard: (seen.get(shard, 0), end - 1) for shard, end in waiting.items()}, newest)
        return Health(self.live, behind, lag, newest, self._problem)

    def _lag(self, waiting: dict[int, tuple[int, int]], newest: int) -> float:
        """Seconds, from each shard's first and last waiting position."""
        if not waiting:
            return 0.0
        first = min(self._time(shard, places[0], newest) for shard, places in waiting.items())
        last = max(self._time(shard, places[1], newest) for shard, places in waiting.items())
        missed = last - min(first, newest or first)
        return max(0, missed, time.time_ns() // 1000 - first) / 1e6

    def _time(self, shard: int, position: int, trimmed: int) -> int:
        try:
            return int(self._stream.read(self.name, shard, position, 1).times[0])
        except Trimmed:
            return trimmed

    def _begin(self) -> None:
        start = self._load()
        self.positions = {**self._stream.start(self.name), **start.positions}
        self._newest = start.newest

    def _step(self) -> bool:
        """Apply what has come; True if it cannot go on."""
        try:
            if self._stream.wait(self.name, self.positions, WAIT_SECONDS):
                self._catch_up()
            self._problem = ""
        except Trimmed:
            self._again()
        except CaudalError as error:
            self._problem = str(error)
            return not error.retry or self.stop.wait(RETRY_SECONDS)
        except Exception as error:  # a fault of ours: its text may hold a person's data, its kind does not
            self._problem = f"stopped by {type(error).__name__}"
            return True
        return False

    def _again(self) -> None:
        try:
            self._begin()
        except CaudalError as error:
            self._problem = str(error)
            self.stop.wait(RETRY_SECONDS)

    def _catch_up(self) -> None:
        for shard in self._stream.ends(self.name):
            while not self.stop.is_set():
                records = self._stream.read(self.name, shard, self.positions.get(shard, 0))
                if not len(records):
                    break
                self._apply(records)
                self._newest = max(self._newest, int(records.times.max()))
                self.positions = {**self.positions, shard: records.next}
