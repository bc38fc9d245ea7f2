"""A thread of steps: it ends when told to, or by itself, and no error ends it."""

import logging
import threading

from caudal.background import Background, close_all
from caudal.errors import CaudalError, Unavailable

SOON = 10


def test_steps_are_taken_until_it_is_closed():
    third, taken = threading.Event(), []

    def step():
        taken.append(1)
        if len(taken) == 3:
            third.set()

    thread = Background("steps", step, every=0.001)
    assert not thread.live
    thread.start()
    assert third.wait(SOON)
    assert thread.live
    thread.close()
    assert not thread.live
    before = len(taken)
    assert thread.stop.wait(0.01)
    assert len(taken) == before


def test_a_step_that_was_the_last_ends_it():
    answers = [False, None, True, False]
    thread = Background("last", lambda: answers.pop(0))
    thread.start()
    thread._thread.join(SOON)
    assert not thread.live
    assert answers == [False]
    thread.close()


def test_what_never_began_can_be_closed():
    Background("never", lambda: None).close()


def test_an_error_is_told_and_the_step_taken_again():
    told, done = [], threading.Event()
    errors = [Unavailable("the disk is away"), KeyError("ann@example.com")]

    def step():
        if errors:
            raise errors.pop(0)
        done.set()
        return True

    thread = Background("fails", step, failed=told.append)
    thread.start()
    assert done.wait(SOON)
    thread.close()
    assert str(told[0]) == "the disk is away"
    assert str(told[1]).startswith("KeyError at test_background.py:")  # a fault of caudal's own: where, not what
    assert [type(error) for error in told] == [Unavailable, CaudalError]


def test_an_error_that_nobody_asked_for_is_in_the_log(caplog):
    thread = Background("delivery of clicks", lambda: (_ for _ in ()).throw(Unavailable("the disk is away")))
    with caplog.at_level(logging.WARNING, "caudal"):
        thread.start()
        while not caplog.messages:
            thread.stop.wait(0.005)
        thread.close()
    assert caplog.messages[0] == "delivery of clicks: the disk is away: tried again"


def test_it_ends_while_it_waits():
    for thread in (Background("slow", lambda: None, every=3600), Background("failing", lambda: 1 / 0, failed=lambda error: None)):
        thread.start()
        thread.close()
        assert not thread.live


def test_many_end_together():
    """Each waits for a step of the others that ends only once it is told to: one after another would never end."""
    threads: list[Background] = []
    threads += [Background(f"one of {n}", lambda: all(other.stop.wait(SOON) for other in threads)) for n in range(3)]
    for thread in threads:
        thread.start()
    close_all(threads)
    assert not any(thread.live for thread in threads)


def test_threads_may_share_what_ends_them():
    stop = threading.Event()
    first, second = (Background(name, lambda: None, every=3600, stop=stop) for name in ("first", "second"))
    first.start()
    second.start()
    first.close()
    second._thread.join(SOON)
    assert not second.live
