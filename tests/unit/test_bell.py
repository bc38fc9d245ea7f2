"""The bell that wakes readers after a commit."""

import time

import pytest

from caudal import bell


@pytest.fixture
def two(tmp_path):
    """One that rings and one that hears."""
    pair = bell.Bell(tmp_path / "a.db"), bell.Bell(tmp_path / "a.db")
    yield pair
    for each in pair:
        each.close()


def test_who_listens_hears_each_ring_and_nothing_else(two):
    ringer, hearer = two
    assert not hearer.wait(0.001)
    for _ in range(2):
        ringer.ring()
        assert hearer.wait(5)
        assert not hearer.wait(0.001)


def test_whoever_comes_is_heard_however_long_nobody_came(two, monkeypatch):
    monkeypatch.setattr(bell, "SETTLED_NS", 20_000_000)
    ringer, hearer = two
    time.sleep(0.05)
    ringer.ring()
    hearer.listen()
    ringer.ring()
    assert hearer.wait(5)
    time.sleep(0.05)
    for _ in range(3):  # who listens is known by now
        ringer.ring()
        assert hearer.wait(5)
    hearer.close()
    ringer.ring()
