"""Work that goes on by itself: a thread that takes one step after another."""

import logging
import threading
from collections.abc import Callable, Iterable

from caudal.errors import CaudalError, tellable

BACKOFF_SECONDS = (0.1, 10.0)
"""Least and longest wait before a step that failed is taken again; doubled each time."""

log = logging.getLogger("caudal")


class Background:
    """Takes steps in a thread of its own from `start` to `close`, or until one returns True: it was the last.

    A step that fails is taken again, and `failed` hears of it, which must not fail: no error, and no fault of caudal's own, ends
    the thread.
    """

    def __init__(
        self, name: str, step: Callable[[], bool | None], every: float = 0.0,
        failed: Callable[[CaudalError], object] | None = None, stop: threading.Event | None = None,
    ) -> None:
        self.stop = stop or threading.Event()
        """Set once it is to end: a long step looks at it, and waits for it instead of sleeping. Threads may share one."""
        self._take_step, self._every = step, every
        self._failed = failed or (lambda error: log.warning("%s: %s: tried again", name, error))
        self._thread = threading.Thread(target=self._take_steps, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first step is taken after `every` seconds."""
        self._thread.start()

    def close(self) -> None:
        """End, once the step that is being taken has ended."""
        self.stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def live(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _take_steps(self) -> None:
        wait, backoff = self._every, BACKOFF_SECONDS[0]
        while not self.stop.wait(wait):
            try:
                if self._take_step():
                    return
                wait, backoff = self._every, BACKOFF_SECONDS[0]
            except Exception as error:
                self._failed(tellable(error))
                wait, backoff = max(self._every, backoff), min(2 * backoff, BACKOFF_SECONDS[1])


def close_all(threads: Iterable[Background]) -> None:
    """End many: together they take no longer than the slowest."""
    ending = list(threads)
    for thread in ending:
        thread.stop.set()
    for thread in ending:
        thread.close()
