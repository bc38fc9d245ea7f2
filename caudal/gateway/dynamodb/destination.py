"""Kinesis streaming destinations: a table's changes, in order for each item, once each, in a Kinesis stream.

How far they reach is a record of a stream of its own, the journal, appended in the transaction that appends them: so a
process that dies anywhere neither loses a change nor tells one twice.
"""

import base64
import threading
import time
import uuid
from functools import partial
from typing import Any

import msgspec

from caudal.background import Background
from caudal.gateway.cloud import Cloud
from caudal.gateway.dynamodb.account import Account
from caudal.gateway.dynamodb.changes import kinesis_record, read_change
from caudal.gateway.dynamodb.disorder import GATHER_SECONDS, WINDOW, disordered
from caudal.gateway.dynamodb.tables import Destination, Table
from caudal.ingest.items import encode_key
from caudal.ingest.stream.port import SupportsRetention
from caudal.records import Positions, Records

READ_BYTES = 1 << 20
WAIT_SECONDS = 0.25
"""How long a forwarder waits for news before it sees whether its table goes elsewhere."""
REST_SECONDS = 0.02
"""How long it lets further changes come before it forwards them together, so that it takes little from those who write."""
TRIM_SECONDS = 10.0
"""How often it forgets how far it had come before."""


class Forwarder:
    """Forwards the changes of every table with a destination, a thread each."""

    def __init__(self, cloud: Cloud, account: Account) -> None:
        self._cloud, self._account = cloud, account
        self._disorder = cloud.stages.config.gateway.disorder
        self._stop = threading.Event()
        self._threads: dict[str, Background] = {}
        self._holds: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._trims: dict[str, float] = {}

    def start(self) -> None:
        """Go on where an earlier process stopped."""
        for name in self._account.names():
            destination = self._account.find(name).destination
            if destination is not None:
                self._run(name, destination.journal)

    def close(self) -> None:
        """End."""
        self._stop.set()
        for thread in list(self._threads.values()):
            thread.close()

    def begin(self, table: Table, kinesis: str, precision: str) -> Destination:
        """Forward a table's changes from now on."""
        stream = self._cloud.stages.stream
        made = Destination(kinesis, f"dynamodb/{table.name}/{uuid.uuid4().hex[:8]}", stream.now(table.name), precision=precision)
        stream.create(made.journal, 1)
        self._run(table.name, made.journal)
        return made

    def reached(self, table: Table) -> Positions:
        """Positions up to which a table's changes are forwarded; the newest without a destination."""
        found = table.destination
        stream = self._cloud.stages.stream
        return self._read_journal(found) if found is not None else stream.now(table.name)

    def is_done(self, table: Table) -> bool:
        """Whether nothing of a table goes anywhere, nor is on its way."""
        found = table.destination
        return found is None or (found.until is not None and _reaches(self._read_journal(found), found.until))

    def held(self, table: str) -> threading.Lock:
        """Held, nothing of the table is forwarded."""
        with self._lock:
            return self._holds.setdefault(table, threading.Lock())

    def _run(self, table: str, journal: str) -> None:
        with self._lock:
            thread = Background(f"{table} to its Kinesis stream", partial(self._step, table, journal), stop=self._stop)
            self._threads[journal] = thread
            thread.start()

    def _step(self, name: str, journal: str) -> bool:
        """Forward what has come of a table; True if nothing will any more."""
        destination = self._by(name, journal)
        if destination is None:  # it is begun just before its table says so
            return not self._stop.wait(WAIT_SECONDS) and self._by(name, journal) is None
        positions = self._read_journal(destination)
        if destination.until is not None and _reaches(positions, destination.until):
            return True
        if self._cloud.stages.stream.wait(name, positions, WAIT_SECONDS):
            if self._disorder:
                self._stop.wait(GATHER_SECONDS)
            with self.held(name):
                if self._by(name, journal) is not None:  # else it was ended, or begun anew, meanwhile
                    self._forward(self._account.find(name), positions)
            self._stop.wait(REST_SECONDS)
        return False

    def _by(self, name: str, journal: str) -> Destination | None:
        """Where a table's changes go by that journal; None if they do not."""
        found = self._account.find(name).destination if name in self._account.names() else None
        return found if found is not None and found.journal == journal else None

    def _read_journal(self, destination: Destination) -> Positions:
        stream = self._cloud.stages.stream
        end = stream.ends(destination.journal)[0].next
        if not end:
            return dict(destination.since)
        last = stream.read(destination.journal, 0, end - 1)
        return msgspec.json.decode(last.raw(0), type=dict[int, int], strict=False)

    def _forward(self, table: Table, reached: Positions) -> None:
        """Forward what is new in all shards, in one transaction."""
        stream, destination = self._cloud.stages.stream, table.destination
        assert destination is not None
        positions = dict(reached)
        records: list[Any] = []
        for shard, ends in stream.ends(table.name).items():
            start = max(positions.get(shard, 0), ends.oldest)
            stop = ends.next if destination.until is None else destination.until[shard]
            if stop > start:
                run = stream.read(table.name, shard, start, READ_BYTES)[: stop - start]
                positions[shard] = run.next
                found = self._records(table, destination, run)
                if self._disorder:
                    again = max(ends.oldest, destination.since.get(shard, 0), start - WINDOW)
                    before = self._records(table, destination, stream.read(table.name, shard, again, READ_BYTES)[: start - again])
                    found = disordered(found, before, f"{self._disorder}/{shard}/{start}")
                records += found
        if self._stop.is_set() or positions == reached:
            return
        kinesis = self._cloud.service("kinesis").streams
        beside = {destination.journal: [(b"", msgspec.json.encode(positions))]}
        kinesis.put(kinesis.find(StreamName=destination.stream), records, beside)
        if isinstance(stream, SupportsRetention) and time.monotonic() > self._trims.get(destination.journal, 0.0):
            self._trims[destination.journal] = time.monotonic() + TRIM_SECONDS
            stream.trim(destination.journal, stream.now(destination.journal))

    def _records(self, table: Table, destination: Destination, run: Records) -> list[Any]:
        made = []
        for n in range(len(run)):
            change = read_change(run.raw(n), table.key)
            if change is None:
                continue
            record = kinesis_record(change, table.name, table.key, destination.precision, self._cloud.region)
            # One item's changes have one partition key, and so are in one shard, in order.
            partition = base64.b64encode(encode_key(change.key)).decode()[:256]
            made.append((partition, msgspec.json.encode(record), None))
        return made


def _reaches(positions: Positions, until: Positions) -> bool:
    return all(positions.get(shard, 0) >= position for shard, position in until.items())
