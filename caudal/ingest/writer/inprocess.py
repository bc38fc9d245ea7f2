"""The embedded writer: one thread a delivery, whole batches in Arrow from the stream to the committed file."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Self

import pyarrow as pa

from caudal.config import Config
from caudal.contract import Contract, Delivery, UserFunction
from caudal.errors import CaudalError, Fenced
from caudal.ingest.stream import Stream
from caudal.ingest.transform import Transform, open_transform
from caudal.ingest.writer.budget import Budget, paused
from caudal.ingest.writer.objects import newest, put_quarantine, put_rows
from caudal.ingest.writer.port import Writer
from caudal.ingest.writer.quarantine import with_origins
from caudal.lake.catalog import Catalog, LakeTable, SupportsFlush
from caudal.lake.catalog.owner import new_owner
from caudal.lake.files import Files
from caudal.records import Commit, Outcome, Positions, Records

POLL_SECONDS = 0.05
"""How often a batch that is neither full nor old is looked at again."""


class InprocessWriter(Writer):
    """Delivers in its own process; several threads or processes may try, one holds the lease."""

    def __init__(
        self, config: Config, database: str, delivery: Delivery, table: LakeTable, transform: Transform,
        stream: Stream, files: Files, catalog: Catalog,
    ) -> None:
        self._database = database
        self._delivery = delivery
        self._table = table
        self._transform = transform
        self._stream = stream
        self._files = files
        self._catalog = catalog
        self._owner = new_owner()
        self._lease_seconds = config.writer.lease_seconds
        self._epoch = 0
        self._rebuilt: int | None = None
        self._positions: Positions | None = None  # None: ask the catalog
        self._renew_at = 0.0
        self._may_hold = False  # also when the catalog's answer was lost
        self._flushes = 0
        self._budget = Budget(delivery.error_budget)
        self._accepted: Positions = {}
        self._record_bytes = 300.0  # seen so far, on average: turns a count into an estimate of bytes

    @classmethod
    def open(
        cls, url: str, config: Config, database: str, source: Contract, delivery: Delivery, table: LakeTable,
        stream: Stream, files: Files, catalog: Catalog,
    ) -> Self:
        function = delivery.transform
        assert function is None or isinstance(function, UserFunction)
        transform = open_transform(config.url("transform"), source, table.contract, function, config)
        return cls(config, database, delivery, table, transform, stream, files, catalog)

    def step(self, timeout: float = 1.0) -> int:
        positions = self._hold()
        until = time.monotonic() + timeout
        if not self._stream.wait(self._table.source, positions, timeout):
            return 0
        due = self._due_at(positions)
        while not (self._is_full(positions) or self._is_asked() or time.time() >= due):
            if time.monotonic() >= until:
                return 0
            time.sleep(min(POLL_SECONDS, max(0.0, due - time.time()), max(0.0, until - time.monotonic())))
            self._hold()
        return self._guarded(lambda: self._deliver(self._stream.now(self._table.source)))

    def flush(self) -> int:
        goal = self._stream.now(self._table.source)
        total = 0
        while any(self._hold().get(shard, 0) < offset for shard, offset in goal.items()):
            total += self._guarded(lambda: self._deliver(goal))
        return total

    def close(self) -> None:
        self._positions = None
        self._transform.close()
        if self._may_hold:
            self._catalog.release(self._table.name, self._owner)
            self._may_hold = False

    def _hold(self) -> Positions:
        """Take or renew the lease; the positions to read on from."""
        if self._positions is None or time.monotonic() >= self._renew_at:
            flow = self._catalog.flow(self._table.name)
            if flow.paused:
                raise paused(self._table.name, flow.paused)
            self._accepted = flow.accepted
            self._may_hold = True
            lease = self._catalog.lease(self._table.name, self._owner, self._lease_seconds)
            if lease.epoch != self._epoch:
                self._check_table()
            start = dict.fromkeys(self._stream.ends(self._table.source), 0)
            self._epoch, self._positions = lease.epoch, {**start, **lease.positions}
            self._renew_at = time.monotonic() + self._lease_seconds / 3
        return self._positions

    def _check_table(self) -> None:
        """Raises Fenced if the table is not what it was when we began: our rows would lack columns, or be of an old transform."""
        now = self._catalog.tables().get(self._table.name)
        if now is None:
            return
        if self._rebuilt is None:
            self._rebuilt = now.rebuilt
        if not now.same_columns(self._table) or now.rebuilt != self._rebuilt:
            self.close()
            what = "its columns have changed" if now.rebuilt == self._rebuilt else "it was made anew"
            raise Fenced(f"table {self._table.name}: {what} since the pipeline was opened",
                         hint="open it again, with today's pipeline file")

    def _guarded(self, work: Callable[[], int]) -> int:
        """Whatever goes wrong, the next step starts from what the catalog says."""
        try:
            return work()
        except BaseException:
            self._positions = None
            raise

    def _due_at(self, positions: Positions) -> float:
        """When the oldest waiting record is old enough, as seconds since 1970."""
        oldest = time.time()
        for shard, ends in self._stream.ends(self._table.source).items():
            if ends.next > positions.get(shard, 0):
                first = self._stream.read(self._table.source, shard, positions.get(shard, 0), limit_bytes=1)
                oldest = min(oldest, int(first.times[0]) / 1e6)
        return oldest + self._delivery.buffer_seconds

    def _is_full(self, positions: Positions) -> bool:
        waiting = sum(ends.next - positions.get(shard, 0) for shard, ends in self._stream.ends(self._table.source).items())
        return waiting * self._record_bytes >= self._delivery.buffer_bytes

    def _is_asked(self) -> bool:
        """Whether somebody asked for a flush since we last looked."""
        if not isinstance(self._catalog, SupportsFlush):
            return False
        before, self._flushes = self._flushes, self._catalog.flush_asked(self._table.name)
        return self._flushes > before

    def _deliver(self, goal: Positions) -> int:
        """Read one batch up to `goal`, write its files, commit; the number of records."""
        since = dict(self._positions or {})
        outcomes: dict[int, Outcome] = {}
        until, records = dict(since), 0
        waiting = [shard for shard, offset in sorted(since.items()) if goal.get(shard, 0) > offset]
        for shard in waiting:
            # An equal share each: a shard that never runs dry must not hold up the others.
            share = max(1, self._delivery.buffer_bytes // len(waiting))
            run = self._stream.read(self._table.source, shard, since[shard], limit_bytes=share)
            run = run[: goal[shard] - since[shard]]
            outcomes[shard] = self._transformed(run)
            until[shard] = run.next
            records += len(run)
            self._learn_size(run)
        if records:
            self._commit(since, until, outcomes, records)
        return records

    def _transformed(self, run: Records) -> Outcome:
        with self._lease_kept():
            outcome = self._transform.apply(run)
        return replace(outcome, rejected=with_origins(run, outcome.rejected)) if outcome.rejected else outcome

    @contextmanager
    def _lease_kept(self) -> Iterator[None]:
        """Renew the lease while a function of the user's may take its time: or another writer would begin the same anew."""
        if self._delivery.transform is None:
            yield
            return
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self._lease_seconds / 3):
                with suppress(CaudalError):  # if it is lost, the commit is refused
                    self._catalog.lease(self._table.name, self._owner, self._lease_seconds)

        thread = threading.Thread(target=renew, name=f"lease of {self._table.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _learn_size(self, run: Records) -> None:
        if len(run):
            self._record_bytes = 0.5 * self._record_bytes + 0.5 * len(run.data) / len(run)

    def _commit(self, since: Positions, until: Positions, outcomes: dict[int, Outcome], records: int) -> None:
        rows = pa.concat_tables([outcome.rows for outcome in outcomes.values()])
        rejected = [record for outcome in outcomes.values() for record in outcome.rejected]
        if why := self._budget.spent(since, until, self._accepted, rejected):
            self._catalog.pause(self._table.name, why)
            raise paused(self._table.name, why)
        quarantine = put_quarantine(self._files, self._database, self._table, self._epoch, rejected) if rejected else []
        self._catalog.commit(self._table.name, Commit(
            epoch=self._epoch, since=since, until=until,
            files=put_rows(self._files, self._database, self._table, self._epoch, rows), quarantine=quarantine,
            records=records, delivered=sum(o.delivered for o in outcomes.values()),
            dropped=sum(o.dropped for o in outcomes.values()), quarantined=len(rejected), rows=len(rows), newest=newest(rows),
            dropped_by_shard={shard: o.dropped for shard, o in outcomes.items() if o.dropped},
        ))
        self._budget.add(since, until, self._accepted, rejected)
        self._positions = until
