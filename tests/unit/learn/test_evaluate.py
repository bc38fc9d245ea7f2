"""Evaluation: the definitions, written out by hand, and what it refuses to overlook."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.errors import DataError
from caudal.learn.dataset import DAY_US, Interactions
from caudal.learn.evaluate import Concentration, evaluate, evaluate_scorer, recent_sales
from caudal.learn.models import open_model_class

CUT = 50 * DAY_US


def shop(*rows):
    """From (user, item, day), perhaps with a weight."""
    columns = dict(zip(("user", "item", "time", "weight"), zip(*rows, strict=True), strict=False))
    columns["time"] = pa.array([day * DAY_US for day in columns["time"]], pa.timestamp("us", "UTC"))
    return Interactions.from_arrow(pa.table(columns))


def judge(rows, order, flavour="new"):
    """Judge a recommender that ranks every shopper's items in the order given."""
    train, test = shop(*rows).split(CUT)
    items = pa.array(sorted(order))
    scores = np.array([-order.index(item) for item in items.to_pylist()], np.float32)
    return evaluate_scorer(lambda user, history: scores, items, train, test, now_us=CUT, flavour=flavour)


ORDER = [f"i{number:02}" for number in range(30)]


def test_the_metrics_are_those_of_their_definitions():
    """Hits at rank 1 and 3 of the two to find; ndcg = (1 + 1/2) / (1 + 1/log2 3)."""
    found = judge([("u", "i20", 1), ("u", "i00", 60), ("u", "i02", 60)], ORDER)
    assert found.metrics["ndcg@10"] == pytest.approx(1.5 / (1 + 1 / np.log2(3)))
    assert found.metrics["recall@10"] == 1.0
    assert found.metrics["mrr@10"] == 1.0
    assert found.metrics["hit@10"] == 1.0
    assert found.metrics["coverage@10"] == pytest.approx(10 / 30)
    assert (found.users, found.pairs) == (1, 2)


def test_a_hit_at_rank_12_counts_at_20_and_not_at_10():
    found = judge([("u", "i20", 1), ("u", "i11", 60)], ORDER)
    assert [found.metrics[name] for name in ("ndcg@10", "recall@10", "mrr@10", "hit@10")] == [0, 0, 0, 0]
    assert found.metrics["mrr@20"] == pytest.approx(1 / 12)
    assert found.metrics["ndcg@20"] == pytest.approx(1 / np.log2(13))
    assert found.metrics["coverage@20"] == pytest.approx(20 / 30)


def test_recall_is_over_all_there_was_to_find():
    rows = [("u", "i29", 1)] + [("u", item, 60) for item in ORDER[:15]]
    found = judge(rows, ORDER)
    assert found.metrics["recall@10"] == pytest.approx(10 / 15)
    assert found.metrics["ndcg@10"] == pytest.approx(1.0)


def test_metrics_are_means_over_shoppers():
    found = judge([("u", "i20", 1), ("v", "i20", 1), ("u", "i00", 60), ("v", "i25", 60)], ORDER)
    assert found.metrics["hit@10"] == 0.5


def test_new_hides_what_was_taken_and_finds_what_was_not():
    """i00 was taken before: i01 moves to rank 1, and taking i00 again is no hit to find."""
    found = judge([("u", "i00", 1), ("u", "i00", 60), ("u", "i01", 60)], ORDER, "new")
    assert found.metrics["mrr@10"] == 1.0
    assert found.pairs == 1


def test_all_counts_repeats():
    found = judge([("u", "i00", 1), ("u", "i00", 60), ("u", "i01", 60)], ORDER, "all")
    assert found.pairs == 2
    assert found.metrics["recall@10"] == 1.0


def test_what_was_given_back_in_the_test_is_no_hit():
    found = judge(
        [("u", "i20", 1, 1.0), ("u", "i00", 60, 1.0), ("u", "i00", 61, -1.0), ("u", "i02", 60, 1.0)], ORDER
    )
    assert found.pairs == 1


def test_shoppers_without_history_and_unknown_items_are_told_beside():
    found = judge([("u", "i20", 1), ("u", "i00", 60), ("w", "i01", 60), ("u", "brand new", 60)], ORDER)
    assert (found.users, found.users_without_history, found.unknown_pairs) == (1, 1, 1)


def test_popularity_is_judged_beside():
    """Of the last seven days: i05 sold twice, i04 once, i03 long ago."""
    rows = [("a", "i05", 48), ("b", "i05", 49), ("a", "i04", 49), ("b", "i03", 1), ("b", "i20", 1)]
    found = judge([*rows, ("u", "i20", 1), ("u", "i04", 60)], ORDER)
    assert found.popularity["mrr@10"] == 0.5
    train = shop(*rows)
    assert recent_sales(train, pa.array(["i03", "i04", "i05"]), CUT).tolist() == [0, 1, 2]


def test_a_test_without_returning_shoppers_is_an_error():
    with pytest.raises(DataError, match=r"^empty"):
        judge([("u", "i20", 1), ("w", "i01", 60)], ORDER)


def test_r10_the_same_list_for_everybody_is_seen():
    found = Concentration.of(np.tile(np.arange(5), (50, 1)))
    assert found == Concentration(distinct_lists=1, share=1.0)


def test_r10_the_same_list_for_everybody_is_a_warning():
    rows = [(f"u{number}", "i29", 1) for number in range(50)] + [(f"u{number}", "i00", 60) for number in range(50)]
    found = judge(rows, ORDER)
    assert found.metrics["ndcg@10"] == 1.0
    assert found.concentration.distinct_lists == 1
    assert "concentration" in found.warnings


def test_r10_lists_of_their_own_are_no_warning():
    found = Concentration.of(np.array([[0, 1], [1, 0], [2, 3], [0, 1]]))
    assert found == Concentration(distinct_lists=3, share=0.5)


def test_worse_than_popularity_is_a_warning():
    rows = [("a", "i25", 49), ("u", "i29", 1), ("u", "i25", 60)]
    assert "below_popularity" in judge(rows, ORDER).warnings


def test_the_result_is_plain_values():
    found = judge([("u", "i20", 1), ("u", "i00", 60)], ORDER).to_dict()
    assert json.loads(json.dumps(found))["metrics"]["hit@10"] == 1.0


@pytest.mark.parametrize("flavour", ["new", "all"])
def test_a_model_is_judged_through_the_code_that_serves(flavour):
    rows = [(f"u{number}", item, 10 + number) for number in range(8) for item in ("a", "b", "c")[: 2 + number % 2]]
    train, test = shop(*rows, ("u0", "c", 60), ("u0", "a", 61)).split(CUT)
    model = open_model_class("ease").fit(train, now_us=CUT, seed=1)
    found = evaluate(model, train, test, now_us=CUT, flavour=flavour)
    assert found.flavour == flavour
    assert found.pairs == {"new": 1, "all": 2}[flavour]
    assert found.metrics["recall@10"] == 1.0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from(ORDER), st.integers(0, 99)), min_size=1, max_size=40),
    st.permutations(ORDER), st.sampled_from(["new", "all"]),
)
def test_metrics_lie_between_0_and_1_and_grow_with_k(rows, order, flavour):
    rows = [("u", "i20", 1), ("u", "i21", 60), *rows]
    rows = [row for row in rows if row[:2] != ("u", "i21") or row[2] == 60]
    found = judge(rows, order, flavour).metrics
    assert all(0 <= value <= 1 for value in found.values())
    for name in ("recall", "mrr", "hit", "coverage"):
        assert found[f"{name}@10"] <= found[f"{name}@20"] + 1e-12
