"""Answers are valid: enough items, in stock, not bought, each with a reason."""

import math

import numpy as np
import pytest

from caudal.errors import NotFound, UsageError
from caudal.learn.blend import score_with_habit
from caudal.testing.shop import product, sale, some_sales


def bought_by(customer):
    return {item["product_id"] for item in some_sales() if item["customer_id"] == customer}


def test_r01_an_unknown_user_gets_popular_items_in_stock(trained):
    answer = trained.ask("never-seen", 3)
    assert len(answer.items) == 3
    assert {found.reason.kind for found in answer.items} == {"cold_start"}
    scores = [found.score for found in answer.items]
    assert scores == sorted(scores, reverse=True)


def test_r02_no_bought_item_fills_the_list_up(start):
    live = start()
    live.store.put_batch("product", [product(f"i{n}") for n in range(4)])
    live.store.put("sale", sale("u", "i0"))
    answer = live.ask("u", 4)
    assert sorted(found.item for found in answer.items) == ["i1", "i2", "i3"]
    assert all(math.isfinite(found.score) for found in answer.items)


def test_r04_what_was_bought_a_moment_ago_is_not_recommended(trained):
    first = trained.ask("c1", 1).items[0].item
    trained.store.put("sale", sale("c1", first, day=70))
    assert first not in trained.items("c1", 16)


def test_re09_a_cancelled_purchase_is_forgotten(trained):
    first = trained.ask("c1", 1).items[0].item
    bought = sale("c1", first, day=70)
    trained.store.put("sale", bought)
    assert first not in trained.items("c1", 16)
    trained.store.delete("sale", [bought["order_id"], bought["line"]])
    assert trained.items("c1", 1) == [first]


def test_r05_only_what_may_be_bought_again_comes_back(start):
    live = start()
    live.store.put_batch("product", [product("coffee"), product("tv", food=False), product("tea")])
    for name in ("coffee", "tv"):
        live.store.put("sale", sale("u", name))
    assert live.items("u", 5, "again") == ["coffee"]
    assert live.items("u", 5) == ["tea"]
    assert set(live.items("u", 5, "similar", "tea")) == {"coffee"}


def test_r13_contributions_are_of_the_history_and_sum_to_the_score(trained):
    answer = trained.ask("c1", 10)
    because = [found for found in answer.items if found.reason.kind == "because"]
    assert because
    for found in because:
        reason = found.reason
        assert {part.item for part in reason.because} <= bought_by("c1")
        parts = sum(part.contribution for part in reason.because) + reason.others + reason.popularity
        assert parts == pytest.approx(found.score, rel=1e-5)


@pytest.mark.parametrize("model", ["ease", "itemknn", "als"])
def test_r13_the_reasons_are_those_of_the_model(trained, model):
    from dataclasses import replace

    declared = replace(trained.declared, model=model, options={"min_buyers": 1})
    card = trained.stages.trainer.train(declared, seed=0, evaluate=False)
    trained.models.promote("for_you", card.version)
    trained.recommender.refresh()
    ranking = trained.recommender._ranking
    history = ranking.history(trained.state.histories.of("c1").rows)
    for found in trained.ask("c1", 3).items:
        target = ranking.model.items.to_pylist().index(found.item)
        parts = [(code, value) for code, value in ranking.model.explain(history, target, trained.state.now) if value]
        names = ranking.model.items.to_pylist()
        told = [(part.item, part.contribution) for part in found.reason.because]
        assert told == [(names[code], pytest.approx(value)) for code, value in parts[:5]]
        assert found.reason.others == pytest.approx(sum(value for _, value in parts[5:]), abs=1e-9)


def test_served_scores_are_those_that_were_evaluated(trained):
    ranking, state = trained.recommender._ranking, trained.state
    names = ranking.model.items.to_pylist()
    history = ranking.history(state.histories.of("c1").rows)
    popularity = state.popularity(len(state.catalogue))[[state.catalogue.find(name) for name in names]]
    assert popularity == pytest.approx(ranking.model.popularity, rel=1e-5)  # the live counter is the trained one
    for slot, scores in (
        ("new", ranking.model.score(history, state.now, popularity)),
        ("again", score_with_habit(ranking.model, history, state.now, popularity)),
    ):
        for found in trained.ask("c1", 10, slot).items:
            assert found.score == pytest.approx(float(scores[names.index(found.item)]), rel=1e-4)


def test_each_answer_names_its_model(trained):
    assert trained.ask("c1").model == 1


def test_there_are_n_items_if_n_qualify_and_the_model_does_not_know_them_all(trained):
    trained.store.put_batch("product", [product(f"new{n}") for n in range(30)])
    left = 16 - len(bought_by("c1"))
    found = trained.items("c1", left + 30)
    assert len(found) == len(set(found)) == left + 30
    assert not set(found) & bought_by("c1")
    assert len(trained.items("c1", 1000)) == left + 30


def test_a_new_product_is_recommended_once_it_sells(trained):
    trained.store.put("product", product("hit"))
    for n in range(50):
        trained.store.put("sale", sale(f"fan{n}", "hit", day=60))
    trained.state._popularity  # noqa: B018 - the counter is live; the answer's copy is renewed twice a second
    trained.catch_up()
    trained.recommender._ranking._live = trained.recommender._ranking._live._replace(until=0)
    assert trained.items("never-seen", 1) == ["hit"]


def test_what_is_sold_out_or_gone_is_never_in_an_answer(trained):
    first, second = trained.items("c1", 2)
    trained.store.update("product", [first], {"stock": 0})
    trained.store.delete("product", [second])
    for slot in ("new", "again", "similar"):
        assert not {first, second} & set(trained.items("c1", 16, slot))
    trained.store.update("product", [first], {"stock": 1})
    assert trained.items("c1", 1) == [first]


def test_a_shopper_whose_favourites_are_all_sold_out_gets_others(trained):
    for name in bought_by("c1"):
        trained.store.update("product", [name], {"stock": 0})
    assert trained.items("c1", 5, "again") == []
    assert len(trained.items("c1", 5)) == 5


def test_again_ranks_by_habit_and_says_how_often(start):
    live = start()
    live.store.put_batch("product", [product("tea"), product("salt")])
    live.store.put("sale", sale("u", "salt", day=1))
    for day in (0, 2, 4):
        live.store.put("sale", sale("u", "tea", day=day))
    tea, salt = live.ask("u", 5, "again").items
    assert (tea.item, tea.reason.text) == ("tea", "bought 3 times, last on 2026-01-05")
    assert (salt.item, salt.reason.text) == ("salt", "bought once on 2026-01-02")


def test_similar_goes_with_the_item_or_with_the_last_one_bought(trained):
    answer = trained.ask("never-seen", 3, "similar", "a1")
    assert {found.item[0] for found in answer.items} == {"a"}  # those who buy a… buy no b…
    assert answer.items[0].reason.text == "goes with A1"
    trained.store.put("sale", sale("fresh", "b2", day=60))
    assert {found.reason.text for found in trained.ask("fresh", 3, "similar").items} == {"goes with B2"}
    assert "b2" not in trained.items("fresh", 16, "similar")


def test_similar_to_an_item_that_the_model_does_not_know_is_what_sells(trained):
    trained.store.put("product", product("new"))
    answer = trained.ask("c1", 3, "similar", "new")
    assert len(answer.items) == 3 and {found.reason.kind for found in answer.items} == {"popular"}


def test_without_a_model_what_sells_is_recommended(start):
    live = start()
    live.store.put_batch("product", [product("a"), product("b")])
    live.store.put("sale", sale("u", "b"))
    answer = live.ask("other", 2)
    assert (answer.model, [found.item for found in answer.items]) == (None, ["b", "a"])


def test_an_empty_shop_answers_with_nothing(start):
    live = start()
    assert [live.items("u", 5, slot) for slot in ("new", "again", "similar")] == [[], [], []]


def test_n_may_be_zero_and_is_bounded(trained):
    assert trained.items("c1", 0) == []
    for n in (-1, 1001, 10**12):
        with pytest.raises(UsageError, match="n is"):
            trained.ask("c1", n)


def test_an_unknown_slot_or_item_is_told(trained):
    with pytest.raises(UsageError) as caught:
        trained.ask("c1", 5, "old")
    assert caught.value.hint == "use new, again, similar"
    with pytest.raises(NotFound, match="no item zzz"):
        trained.ask("c1", 5, "similar", "zzz")


def test_ties_are_broken_the_same_way_each_time(start):
    live = start()
    live.store.put_batch("product", [product(f"p{n:03}") for n in range(200)])
    live.catch_up()
    answers = {tuple(live.items("u", 20)) for _ in range(5)}
    assert len(answers) == 1


def test_the_best_of_many_is_exact():
    from caudal.serve.ranking import best

    random = np.random.default_rng(0)
    for n in (0, 1, 10, 499, 500, 900):
        scores, allowed = random.integers(0, 50, 500).astype(np.float32), random.random(500) < 0.7
        order = [place for place in np.lexsort((np.arange(500), -scores)) if allowed[place]][:n]
        found = best(scores, allowed, n)
        assert scores[found.codes].tolist() == scores[order].tolist()
        assert allowed[found.codes].all() and len(set(found.codes.tolist())) == len(order)
