"""What an event loop does in its own thread must not wait for others: it is done at once, or left to a thread that may wait."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_local = threading.local()


class Later(BaseException):
    """It would have had to wait, so nothing was done. No Exception: nobody on the way has an answer to it."""


@contextmanager
def at_once() -> Iterator[None]:
    """Within it, this thread is in a hurry. Raises Later, with nothing done, where it would have to wait."""
    _local.hurries = True
    try:
        yield
    finally:
        _local.hurries = False


def hurries() -> bool:
    """Whether this thread must not wait."""
    return getattr(_local, "hurries", False)


def may_wait() -> None:
    """To be called before waiting for others, and before anything is done that cannot be undone. Raises Later."""
    if hurries():
        raise Later
