"""Consumers with enhanced fan-out: registered by name, each with one subscription a shard at a time."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from caudal.errors import AlreadyExists
from caudal.gateway.documents import Documents
from caudal.gateway.faults import AwsError

KIND = "kinesis.consumer"
AGAIN_SECONDS = 5.0
"""How soon after a subscription began another takes its place; before that it is refused."""

Consumer = dict[str, Any]


class Consumers:
    """The registered consumers of every stream."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._subscribed: dict[tuple[str, str], tuple[float, threading.Event]] = {}
        self._lock = threading.Lock()

    def of(self, stream: str) -> list[Consumer]:
        """A stream's consumers, by name."""
        return [_read(document) for document in self._documents.all(KIND, prefix=f"{stream}/").values()]

    def add(self, stream: str, arn: str, name: str) -> Consumer:
        """Register one. Raises AwsError."""
        now = int(time.time())
        document = {
            "ConsumerName": name, "ConsumerARN": f"{arn}/consumer/{name}:{now}", "ConsumerStatus": "ACTIVE",
            "ConsumerCreationTimestamp": now, "StreamARN": arn,
        }
        try:
            self._documents.create(KIND, f"{stream}/{name}", document)
        except AlreadyExists:
            told = f"Consumer {name} of stream {stream} already exists."
            raise AwsError("ResourceInUseException", told) from None
        return _read(document)

    def find(self, ConsumerARN: str | None = None, ConsumerName: str | None = None, StreamARN: str | None = None) -> Consumer:
        """The consumer that a request names. Raises AwsError."""
        arn, _, rest = (ConsumerARN or f"{StreamARN}/consumer/{ConsumerName}").partition("/consumer/")
        document = self._documents.get(KIND, f"{arn.rpartition('/')[2]}/{rest.partition(':')[0]}")
        if document is None or (ConsumerARN is not None and document["ConsumerARN"] != ConsumerARN):
            raise AwsError("ResourceNotFoundException", f"Consumer {ConsumerARN or ConsumerName} not found.")
        return _read(document)

    def remove(self, consumer: Consumer) -> None:
        """Deregister one; its subscriptions end."""
        self._documents.remove(KIND, f"{consumer['StreamARN'].rpartition('/')[2]}/{consumer['ConsumerName']}")
        with self._lock:
            for (arn, _), (_, ended) in self._subscribed.items():
                if arn == consumer["ConsumerARN"]:
                    ended.set()

    def subscribe(self, arn: str, shard: str) -> threading.Event:
        """Begin a subscription, ending the one there was; what is set when this one ends. Raises AwsError."""
        with self._lock:
            began, ended = self._subscribed.get((arn, shard), (float("-inf"), threading.Event()))
            if time.monotonic() - began < AGAIN_SECONDS:
                told = f"Another active subscription exists for this consumer: {arn}, shard {shard}"
                raise AwsError("ResourceInUseException", told)
            ended.set()
            mine = threading.Event()
            self._subscribed[arn, shard] = time.monotonic(), mine
            return mine


def _read(document: Consumer) -> Consumer:
    return {**document, "ConsumerCreationTimestamp": datetime.fromtimestamp(document["ConsumerCreationTimestamp"], UTC)}
