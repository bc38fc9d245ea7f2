"""Calls of type Event: kept until they are done, tried three times."""

import base64
import heapq
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from caudal.errors import CaudalError
from caudal.gateway.documents import Document, Documents
from caudal.gateway.functions.pool import Outcome

KIND = "lambda.event"
WAITS = (1.0, 2.0)
"""Seconds before the second and the third try; AWS waits one minute and two."""
THREADS = 4


class Queue:
    """What was accepted is called, also after a restart: at least once."""

    def __init__(self, documents: Documents, run: Callable[[str, bytes], Outcome]) -> None:
        self._documents = documents
        self._run = run
        self._due: list[tuple[float, str, Document]] = []
        self._news = threading.Condition()
        self._stop = False
        self._threads = ThreadPoolExecutor(THREADS, "lambda-event")
        self._clock = threading.Thread(target=self._dispatch, name="lambda-events", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        for name, document in self._documents.all(KIND).items():
            self._add(time.monotonic(), name, document)
        self._clock.start()

    def add(self, function: str, payload: bytes) -> None:
        """Accept a call: it is durable once this returns."""
        document = {"function": function, "payload": base64.b64encode(payload).decode(), "tries": 0}
        name = f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}"
        self._documents.put(KIND, name, document)
        self._add(time.monotonic(), name, document)

    def close(self) -> None:
        """Finish what runs; the rest waits for the next start."""
        with self._news:
            self._stop = True
            self._news.notify_all()
        if self._clock.ident is not None:
            self._clock.join()
        self._threads.shutdown(cancel_futures=True)

    def _add(self, at: float, name: str, document: Document) -> None:
        with self._news:
            heapq.heappush(self._due, (at, name, document))
            self._news.notify_all()

    def _dispatch(self) -> None:
        with self._news:
            while not self._stop:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._news.wait(wait)
                    continue
                _, name, document = heapq.heappop(self._due)
                self._threads.submit(self._call, name, document)

    def _call(self, name: str, document: Document) -> None:
        try:
            failed = self._run(document["function"], base64.b64decode(document["payload"])).failed
        except CaudalError:  # the function is gone
            failed, document = False, document
        tries = document["tries"] + 1
        if failed and tries <= len(WAITS):
            again = {**document, "tries": tries}
            self._documents.put(KIND, name, again)
            self._add(time.monotonic() + WAITS[tries - 1], name, again)
        else:
            self._documents.remove(KIND, name)
