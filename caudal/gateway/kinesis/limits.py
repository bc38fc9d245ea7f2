"""AWS's limits on writing to a shard, for whoever wants to test how a client retries: 1,000 records and 1 MiB a second."""

import threading
import time
from collections.abc import Sequence
from typing import Any

from caudal.gateway.faults import AwsError
from caudal.gateway.kinesis.log import Record
from caudal.gateway.kinesis.streams import Live

RECORDS, BYTES = 1_000.0, float(1 << 20)
CODE = "ProvisionedThroughputExceededException"


class Limits:
    """What each shard may still take: it is filled again at the limit's rate, up to one second's worth."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, int], tuple[float, float, float]] = {}
        self._lock = threading.Lock()

    def check(self, live: Live, record: Record) -> None:
        """Raises AwsError if the record's shard has had its share."""
        if self.refused(live, [record]):
            raise AwsError(CODE, _told(live))

    def refused(self, live: Live, records: Sequence[Record]) -> dict[int, dict[str, Any]]:
        """Index to the answer of each record whose shard has had its share."""
        found = {}
        with self._lock:
            for n, (key, data, hash_key) in enumerate(records):
                place = live.description.place, live.router.number(key, hash_key)
                records_left, bytes_left = self._now(place)
                size = len(key.encode()) + len(data)
                if records_left < 1 or bytes_left < size:
                    found[n] = {"ErrorCode": CODE, "ErrorMessage": _told(live)}
                else:
                    self._left[place] = time.monotonic(), records_left - 1, bytes_left - size
        return found

    def _now(self, place: tuple[str, int]) -> tuple[float, float]:
        now = time.monotonic()
        at, records, size = self._left.get(place, (now, RECORDS, BYTES))
        return min(RECORDS, records + (now - at) * RECORDS), min(BYTES, size + (now - at) * BYTES)


def _told(live: Live) -> str:
    return f"Rate exceeded for a shard in stream {live.description.name} under account 000000000000."
