"""Ending a query from outside: another thread cancels what runs inside `with cancel.active():`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from caudal.background import Background
from caudal.errors import QueryError

INSIST_SECONDS = 0.02
"""How often an engine is interrupted again: it forgets an interruption that comes between the steps of a query."""

_active: ContextVar["Cancel | None"] = ContextVar("caudal_query_cancel", default=None)


class Cancel:
    """Called, it ends the queries of the thread that made it active, now and later: they raise QueryError."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[Callable[[], object]] = []
        self._called = False

    def __call__(self) -> None:
        with self._lock:
            if self._called:
                return
            self._called = True
        if not self._interrupt():
            Background("query-cancel", self._interrupt, every=INSIST_SECONDS).start()

    def _interrupt(self) -> bool:
        """Interrupt what runs; True if nothing does."""
        with self._lock:
            for interrupt in self._running:
                interrupt()
            return not self._running

    @contextmanager
    def active(self) -> Iterator[None]:
        """The queries that this thread runs meanwhile are ended by it."""
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    @contextmanager
    def _watching(self, interrupt: Callable[[], object]) -> Iterator[None]:
        with self._lock:
            if self._called:
                raise _cancelled()
            self._running.append(interrupt)
        try:
            yield
        except Exception:
            if self._called:
                raise _cancelled() from None
            raise
        finally:
            with self._lock:
                self._running.remove(interrupt)


@contextmanager
def cancellable(interrupt: Callable[[], object]) -> Iterator[None]:
    """For engines: whoever may cancel the query that runs inside calls `interrupt`. Raises QueryError once they have."""
    cancel = _active.get()
    if cancel is None:
        yield
        return
    with cancel._watching(interrupt):
        yield


def _cancelled() -> QueryError:
    return QueryError("QUERY_CANCELLED: the query was stopped", hint="start it again")
