"""What provisioned tables and indexes may still read and write, for whoever wants to test how a client retries.

As AWS documents it, what a table does not use is kept for up to 300 seconds, and used in bursts. A table begins with one
second's worth. A request is let in while a unit is left, however much it then takes: what it took too much is
owed, so that in the mean the rate is the provisioned one, and none waits for ever. Tables on demand have no limit here.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from caudal.gateway.dynamodb.actions import Action
from caudal.gateway.dynamodb.capacity import index_units, write_units
from caudal.gateway.dynamodb.tables import Index, Table
from caudal.gateway.dynamodb.values import size_of_item
from caudal.gateway.faults import AwsError
from caudal.ingest.store import Modify
from caudal.records import Item

BURST_SECONDS = 300
CODE = "ProvisionedThroughputExceededException"
_READ, _WRITE = 0, 1


class Throughput:
    """Of every table; without limits it lets in all."""

    def __init__(self, limited: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.limited, self._clock = limited, clock
        self._left: dict[tuple[str, str, int], tuple[float, float]] = {}
        """Table's id, index and kind: when it was looked at, and the units that were left then."""
        self._lock = threading.Lock()

    def check_read(self, table: Table, index: Index | None = None) -> None:
        """Raises AwsError if nothing is left to read with."""
        if self.limited:
            with self._lock:
                self._check(table, index, _READ)

    def take_read(self, table: Table, units: float, index: Index | None = None) -> None:
        """Take what a read was."""
        if self.limited:
            with self._lock:
                self._take(table, index, _READ, units)

    def write(self, action: Action, transaction: bool = False) -> Modify:
        """An action as a write of the store, that is refused with AwsError if nothing is left for it."""
        write = action.write
        if not self.limited:
            return write

        def change(item: Item | None) -> Item | None:
            self._check_all(action.table, [None])
            try:
                made = write.change(item)
            except AwsError:  # of a condition that does not hold: AWS counts that too
                self._take_write(action.table, item, item, transaction)
                raise
            touched = index_units(action.table, item, made)
            self._check_all(action.table, [index for index in action.table.indexes if index.name in touched])
            self._take_write(action.table, item, made, transaction)
            return made

        return replace(write, change=change)

    def _check_all(self, table: Table, indexes: Iterable[Index | None]) -> None:
        with self._lock:
            for index in indexes:
                self._check(table, index, _WRITE)

    def _take_write(self, table: Table, old: Item | None, new: Item | None, transaction: bool) -> None:
        units = index_units(table, old, new, transaction)
        with self._lock:
            self._take(table, None, _WRITE, write_units(max(size_of_item(old or {}), size_of_item(new or {})), transaction))
            for index in table.indexes:
                self._take(table, index, _WRITE, units.get(index.name, 0.0))

    def _check(self, table: Table, index: Index | None, kind: int) -> None:
        if self._now(table, index, kind) < 1:
            raise AwsError(CODE, told(index if index is not None and not index.is_local else None))

    def _take(self, table: Table, index: Index | None, kind: int, units: float) -> None:
        place = _place(table, index, kind)
        if _rate(table, index, kind) is None:
            self._left.pop(place, None)  # nothing of it is left over for when there is a limit again
            return
        self._left[place] = self._clock(), self._now(table, index, kind) - units

    def _now(self, table: Table, index: Index | None, kind: int) -> float:
        rate = _rate(table, index, kind)
        if rate is None:
            return 1.0  # it is enough
        now = self._clock()
        at, left = self._left.get(_place(table, index, kind), (now, float(rate)))
        return min(BURST_SECONDS * rate, left + (now - at) * rate)


def told(index: Index | None) -> str:
    """What AWS says of it."""
    where, which = "the table", ""
    if index is not None:
        where = "one or more global secondary indexes of the table"
        which = " for the under-provisioned global secondary indexes"
    return (f"The level of configured provisioned throughput for {where} was exceeded. "
            f"Consider increasing your provisioning level{which} with the UpdateTable API")


def _place(table: Table, index: Index | None, kind: int) -> tuple[str, str, int]:
    """A local index uses its table's throughput."""
    return table.id, index.name if index is not None and not index.is_local else "", kind


def _rate(table: Table, index: Index | None, kind: int) -> int | None:
    """Units a second; None for no limit."""
    if table.on_demand:
        return None
    return (index.throughput if index is not None and not index.is_local else table.throughput)[kind]
