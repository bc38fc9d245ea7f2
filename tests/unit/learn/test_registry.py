"""The registry of models: kept whole, switched in one step, never lost."""

import threading

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from caudal.errors import DataError, NotFound, UsageError
from caudal.lake.files import open_files
from caudal.learn.card import Card
from caudal.learn.models.popular import PopularModel
from caudal.learn.registry import ModelRegistry

CARD = Card(
    recommender="shop", version=0, model="popular", options={}, snapshot={"sale": 3}, positions={"sale": {0: 7}}, now=1,
    seed=7, threads=1, caudal="1", commit="", declaration="d", packages={"numpy": "2"}, interactions=1, users=1, items=1,
    evaluation={}, checksum="", bytes=0, created=0,
)


def bytes_of(name: str) -> bytes:
    return PopularModel(pa.array([name]), np.ones(1), 1.0).save()


def judged(ndcg: float) -> Card:
    return msgspec.structs.replace(CARD, evaluation={"metrics": {"ndcg@10": ndcg}})


@pytest.fixture
def files():
    return open_files("memory:")


@pytest.fixture
def models(files, tmp_path):
    return ModelRegistry(files, tmp_path)


def test_the_first_version_goes_live_by_itself_and_later_ones_do_not(models):
    assert models.live("shop") is None
    assert models.add(CARD, bytes_of("a")).version == 1
    assert models.add(CARD, bytes_of("b")).version == 2
    assert models.live("shop") == 1
    assert [(v.card.version, v.live) for v in models.versions("shop")] == [(1, True), (2, False)]


def test_a_version_is_loaded_with_its_card(models):
    models.add(CARD, bytes_of("a"))
    models.add(CARD, bytes_of("b"))
    model, card = models.load("shop")
    assert (model.items.to_pylist(), card.version, card.positions) == (["a"], 1, {"sale": {0: 7}})
    assert models.load("shop", 2)[0].items.to_pylist() == ["b"]


def test_bytes_and_card_lie_side_by_side_in_the_files(models, files):
    models.add(CARD, bytes_of("a"))
    assert files.get("models/shop/v000001/model.bin") == bytes_of("a")
    card = msgspec.json.decode(files.get("models/shop/v000001/card.json"), type=Card)
    assert card == models.card("shop", 1)


def test_t11_rollback_is_one_step_with_an_audit_trail(models, files):
    models.add(CARD, bytes_of("a"))
    models.add(CARD, bytes_of("b"))
    models.promote("shop", 2)
    before = [info.path for info in files.list()]
    assert models.rollback("shop").version == 1
    assert models.live("shop") == 1
    assert len(models.versions("shop")) == 2 and [info.path for info in files.list()] == before  # nothing was trained
    changes = [(s.action, s.old, s.version) for s in models.history("shop") if s.old is not None]
    assert changes == [("promote", 1, 2), ("rollback", 2, 1)]


def test_t11_an_artifact_is_verified_before_the_switch(models, files):
    models.add(CARD, bytes_of("a"))
    models.add(CARD, bytes_of("b"))
    models.promote("shop", 2)
    files.delete("models/shop/v000001/model.bin")
    with pytest.raises(DataError, match=r"shop v1: its file .* is missing"):
        models.rollback("shop")
    files.put("models/shop/v000001/model.bin", b"something else")
    with pytest.raises(DataError, match="damaged"):
        models.rollback("shop")
    with pytest.raises(DataError, match="damaged"):
        models.promote("shop", 1)
    assert models.live("shop") == 2 and models.load("shop")[1].version == 2


def test_each_rollback_goes_one_promotion_further_back(models):
    for name in "abc":
        models.promote("shop", models.add(CARD, bytes_of(name)).version)
    assert [models.rollback("shop").version for _ in range(2)] == [2, 1]
    with pytest.raises(UsageError, match="no earlier version"):
        models.rollback("shop")
    models.promote("shop", 3)
    assert models.rollback("shop").version == 1


def test_promoting_what_is_live_changes_nothing(models):
    models.add(CARD, bytes_of("a"))
    models.promote("shop", 1)
    assert len(models.history("shop")) == 1


def test_unknown_names_and_versions_say_what_there_is(models):
    with pytest.raises(NotFound, match="no model yet"):
        models.load("shop")
    models.add(CARD, bytes_of("a"))
    with pytest.raises(NotFound) as caught:
        models.promote("shop", 9)
    assert caught.value.hint == "its versions are 1"
    with pytest.raises(UsageError):
        models.rollback("shop")


@pytest.mark.parametrize(("old", "new", "live"), [(0.10, 0.09, 2), (0.10, 0.07, 1), (0.10, None, 1), (None, None, 2)])
def test_a_clearly_worse_version_stays_a_candidate_and_says_why(models, old, new, live):
    models.add(judged(old) if old is not None else CARD, bytes_of("a"))
    card = models.add(judged(new) if new is not None else CARD, bytes_of("b"))
    told = models.offer(card)
    assert models.live("shop") == live
    assert models.versions("shop")[1].note == told
    assert ("0.1000" in told) == (live == 1)


def test_two_trainers_at_once_get_a_version_each(models):
    threads = [threading.Thread(target=models.add, args=(CARD, bytes_of(str(n)))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = models.versions("shop")
    assert len({v.card.version for v in versions}) == 8
    assert [v.live for v in versions].count(True) == 1
    assert {models.load("shop", v.card.version)[0].items[0].as_py() for v in versions} == set("01234567")


def test_a_version_half_added_by_a_crash_is_passed_over(models, files):
    files.put("models/shop/v000001/model.bin", b"half")
    assert models.add(CARD, bytes_of("a")).version == 2
    assert models.load("shop")[1].version == 2


def test_another_process_sees_the_switch(models, files, tmp_path):
    other = ModelRegistry(files, tmp_path)
    models.add(CARD, bytes_of("a"))
    models.add(CARD, bytes_of("b"))
    other.promote("shop", 2)
    assert models.live("shop") == 2
