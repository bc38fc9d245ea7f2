"""What DynamoDB does with tables by itself: deletes what expired, trims streams, counts items."""

import time

from caudal.background import Background
from caudal.errors import CaudalError
from caudal.gateway.cloud import Cloud
from caudal.gateway.dynamodb import tokens
from caudal.gateway.dynamodb.account import STREAM_SECONDS, Account
from caudal.gateway.dynamodb.destination import Forwarder
from caudal.gateway.dynamodb.tables import Table
from caudal.gateway.dynamodb.values import size_of_item
from caudal.ingest.stream.port import SupportsRetention

SWEEP_SECONDS, SWEEP_ITEMS = 0.5, 500
TRIM_SECONDS = 60.0
COUNT_SECONDS = 6 * 3600.0
"""How old the number and size of a table's items may be, as AWS has it."""


class Upkeep(Background):
    """A thread that looks after every table."""

    def __init__(self, cloud: Cloud, account: Account, forwarder: Forwarder) -> None:
        super().__init__("dynamodb-upkeep", self.look_after_all, every=SWEEP_SECONDS)
        self._cloud, self._account, self._forwarder = cloud, account, forwarder
        self._sizes: dict[str, tuple[int, int]] = {}
        self._counted: dict[str, float] = {}
        self._trimmed = float("-inf")

    def size(self, table: str) -> tuple[int, int]:
        """How many items and bytes a table had when it was last counted."""
        return self._sizes.get(table, (0, 0))

    def look_after_all(self) -> None:
        """One round."""
        is_trimming = time.monotonic() > self._trimmed + TRIM_SECONDS
        for name in self._account.names():
            try:
                table = self._account.find(name)
                self._sweep(table)
                if is_trimming and not table.is_of_pipeline:
                    self._trim(table)
                self._count(table)
            except CaudalError:
                if name in self._account.names():  # and not deleted meanwhile
                    raise
        self._account.store.sweep(tokens.TABLE, time.time(), SWEEP_ITEMS)
        if is_trimming:
            stream = self._cloud.stages.stream
            if isinstance(stream, SupportsRetention):
                stream.trim(tokens.TABLE, stream.now(tokens.TABLE))
            self._trimmed = time.monotonic()

    def _sweep(self, table: Table) -> None:
        while table.ttl and not self.stop.is_set() and self._account.store.sweep(table.name, time.time(), SWEEP_ITEMS):
            pass

    def _trim(self, table: Table) -> None:
        """Drop changes that no reader can have any more; those of a pipeline's table are its writer's."""
        stream = self._cloud.stages.stream
        if isinstance(stream, SupportsRetention):
            stream.trim(table.name, self._forwarder.reached(table), int(1e6 * (time.time() - STREAM_SECONDS)))

    def _count(self, table: Table) -> None:
        if time.monotonic() < self._counted.get(table.id or table.name, float("-inf")) + COUNT_SECONDS:
            return
        items = total = 0
        for item in self._account.store.scan(table.name):
            items, total = items + 1, total + size_of_item(item)
            if self.stop.is_set():
                return
        self._sizes[table.name] = items, total
        self._counted[table.id or table.name] = time.monotonic()
