"""What the parts of `caudal up` do by themselves, run in this process."""

import threading

import pytest

from caudal import parts
from caudal.supervisor import read_errors
from caudal.testing.shop import deliver, eventually, open_small_shop, sale, some_products, some_sales


@pytest.fixture
def stages(tmp_path):
    with open_small_shop(tmp_path) as stages:
        yield stages


@pytest.fixture
def running(stages, monkeypatch):
    """Runs a part in a thread until the test ends."""
    monkeypatch.setattr(parts, "YOUNG_SECONDS", 0.02)
    stop, threads = threading.Event(), []

    def run(part):
        threads.append(threading.Thread(target=part, args=(stages, stop)))
        threads[-1].start()

    yield run
    stop.set()
    for thread in threads:
        thread.join()


def test_a_young_shop_gets_a_model_as_soon_as_it_sells_and_a_new_one_as_it_grows(stages, running):
    running(parts.run_trainer)
    stages.store.put_batch("product", some_products())
    assert (stages.models.live("for_you"), read_errors(stages.config)) == (None, {})
    stages.store.put_batch("sale", some_sales()[:10])
    deliver(stages)
    eventually(lambda: stages.models.live("for_you") == 1)
    stages.store.put_batch("sale", some_sales())
    deliver(stages)
    eventually(lambda: 360 in {version.card.interactions for version in stages.models.versions("for_you")})
    assert read_errors(stages.config) == {}


def test_an_unexpected_fault_is_told_by_its_place_and_tried_again(stages, running, monkeypatch):
    failed = []

    def step(self, timeout):
        failed.append(1)
        raise ValueError("ann@example.org")

    stages.store.put("sale", sale("u", "i"))
    monkeypatch.setattr(type(stages.writer("sale")), "step", step)
    running(parts.run_writer)
    eventually(lambda: len(failed) > 3)
    errors = read_errors(stages.config)
    assert errors["writer sale"].startswith("ValueError at test_parts.py:")
    assert "example.org" not in str(errors)


def test_a_writer_is_one_however_often_it_is_asked_for_and_gives_its_lease_up(tmp_path):
    for _ in range(2):
        with open_small_shop(tmp_path) as stages:
            for n in range(2):
                stages.store.put("sale", sale("u", f"{n}"))
                stages.writer("sale").flush()
    assert stages.writers == {}
