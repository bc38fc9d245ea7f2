"""Health is measured from the data: source against state, never a heartbeat."""

import time

import pytest

from caudal.ingest.changes import encode_put
from caudal.ingest.items import encode_item
from caudal.ingest.stream.memory import MemoryStream
from caudal.serve.follower import Follower, Start
from caudal.serve.live import LiveShop
from caudal.testing.shop import eventually, product, sale, shop_of

HOUR = 3600 * 1_000_000
RECORD = encode_put("e", 1, encode_item(sale("u", "i")), None)


class ClockedStream(MemoryStream):
    """A stream whose records carry the times that a test gives them, hours ago."""

    def __init__(self, *shards):
        super().__init__()
        self.now = time.time_ns() // 1000
        self.create("sale", len(shards))
        for shard, hours in zip(self._streams["sale"], shards, strict=True):
            shard.records += [RECORD] * len(hours)
            shard.times += [self.now - int(ago * HOUR) for ago in hours]


def lag_hours(stream, positions, newest_hours_ago):
    """What a follower says that has applied so much, and applies no more."""
    start = Start(positions, stream.now - int(newest_hours_ago * HOUR))
    follower = Follower(stream, "sale", lambda: start, lambda records: None)
    follower._begin()
    return follower.health().lag_seconds / 3600


def test_o01_lag_is_event_time_at_the_source_against_event_time_applied():
    assert lag_hours(ClockedStream([3, 0]), {0: 1}, 3) == pytest.approx(3, abs=0.01)


def test_a_quiet_night_is_no_lag():
    assert lag_hours(ClockedStream([3]), {0: 1}, 3) == 0


def test_a_shard_that_hangs_is_seen_behind_one_that_runs():
    assert lag_hours(ClockedStream([2, 1], [2, 1]), {0: 2, 1: 0}, 1) == pytest.approx(2, abs=0.01)


def test_a_first_change_that_is_never_applied_is_lag_too():
    follower = Follower(ClockedStream([1]), "sale", lambda: Start({}, 0), lambda records: None)
    follower._begin()
    assert follower.health().lag_seconds == pytest.approx(3600, abs=30)


class PoisonedStream(MemoryStream):
    """A stream that fails its reader with an error of nobody's making."""

    poisoned = False

    def read(self, name, shard, offset, limit_bytes=8 << 20):
        if self.poisoned:
            raise RuntimeError("customer c42 broke it")
        return super().read(name, shard, offset, limit_bytes)


@pytest.fixture
def poisoned(stages):
    from dataclasses import replace

    stream = PoisonedStream()
    for name in stages.pipeline.tables:
        stream.create(name, 1)
    shop = LiveShop(replace(shop_of(stages), stream=stream))
    shop.start()
    yield stream, shop
    shop.close()


def test_o07_a_dead_follower_is_neither_live_nor_ready(poisoned):
    stream, shop = poisoned
    assert (shop.health().live, shop.health().ready) == (True, True)
    stream.poisoned = True
    stream.append("sale", [(b"k", RECORD)])
    eventually(lambda: not shop._recommenders["for_you"].state.followers[0].live)
    stream.poisoned = False
    health = shop.health()
    assert (health.live, health.ready) == (False, False)
    problem = health.recommenders["for_you"].tables["sale"].problem
    assert problem == "stopped by RuntimeError"  # its text may hold a person's data


def test_o01_data_that_stays_behind_is_stale_though_every_thread_runs(stages):
    shop = LiveShop(shop_of(stages, stale_seconds=0.0005))
    shop.start()
    state = shop._recommenders["for_you"].state
    gate = state._lock  # the follower waits for it: alive, and getting nowhere
    with gate:
        stages.store.put("product", product("a"))
        time.sleep(0.002)
        health = shop.health()
    assert (health.live, health.ready) == (True, False)
    assert health.recommenders["for_you"].tables["product"].stale
    eventually(lambda: shop.health().ready)
    shop.close()
