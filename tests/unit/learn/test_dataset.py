"""Interactions and histories: what counts, once, and never from the future."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.errors import ContractError, DataError
from caudal.learn.dataset import DAY_US, FOREVER, History, Interactions, check_orientation

NOW = 100 * DAY_US

rows_of_a_shop = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.sampled_from(["i1", "i2", "i3", "é", ""]), st.integers(0, 100),
        st.sampled_from([1.0, 2.0, 0.25, -1.0, -2.0]), st.sampled_from(["e1", "e2", "e3", None]),
    ),
    min_size=1, max_size=30,
)


def table(rows, **columns):
    """Rows of (user, item, day), perhaps with weight and event id."""
    names = ("user", "item", "time", "weight", "event_id")
    types = (pa.string(), pa.string(), pa.timestamp("us", "UTC"), pa.float64(), pa.string())
    found = {}
    for number, values in enumerate(zip(*rows, strict=True)):
        values = [value if number != 2 or value is None else int(value * DAY_US) for value in values]
        found[names[number]] = pa.array(values, types[number])
    return pa.table({**found, **columns})


def shop(*rows):
    return Interactions.from_arrow(table(rows))


def readable(interactions):
    """(user, item, day, weight) of each row."""
    return [
        (interactions.users[user].as_py(), interactions.items[item].as_py(), time / DAY_US, weight)
        for user, item, time, weight in zip(
            interactions.user_codes, interactions.item_codes, interactions.times, interactions.weights, strict=True
        )
    ]


def pairs(interactions):
    """(user, item) to (last day taken, net weight)."""
    found = interactions.pairs()
    return {
        (interactions.users[user].as_py(), interactions.items[item].as_py()): (last / DAY_US, weight)
        for user, item, last, weight in zip(*found, strict=True)
    }


def test_rows_are_ordered_by_time_and_names_are_sorted():
    found = shop(("b", "y", 2), ("a", "x", 3), ("a", "z", 1))
    assert readable(found) == [("a", "z", 1, 1.0), ("b", "y", 2, 1.0), ("a", "x", 3, 1.0)]
    assert found.users.to_pylist() == ["a", "b"]
    assert found.items.to_pylist() == ["x", "y", "z"]
    assert [found.user_codes.dtype, found.item_codes.dtype, found.times.dtype, found.weights.dtype] == [
        np.int32, np.int32, np.int64, np.float64,
    ]


@given(rows_of_a_shop, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    one, other = Interactions.from_arrow(table(rows)), Interactions.from_arrow(table(shuffled))
    assert readable(one) == readable(other)
    assert one.users.equals(other.users) and one.items.equals(other.items)


@given(rows_of_a_shop, st.integers(-1, 102))
def test_a_split_loses_nothing_and_keeps_the_cut_in_the_test(rows, day):
    whole = Interactions.from_arrow(table(rows))
    train, test = whole.split(day * DAY_US)
    assert readable(train) + readable(test) == readable(whole)
    assert all(row[2] < day for row in readable(train))
    assert all(row[2] >= day for row in readable(test))
    assert {row[0] for row in readable(train)} == set(train.users.to_pylist())
    assert {row[1] for row in readable(test)} == set(test.items.to_pylist())


def test_t05_a_split_is_by_global_time():
    train, test = shop(("a", "x", 1), ("a", "x", 9), ("b", "x", 2), ("b", "x", 3)).split(5 * DAY_US)
    assert train.times.max() == 3 * DAY_US
    assert readable(test) == [("a", "x", 9, 1.0)]


def test_r08_an_event_that_comes_three_times_counts_once():
    found = shop(*[("u", "i", 1, 1.0, "e1")] * 3)
    assert pairs(found) == {("u", "i"): (1, 1.0)}


def test_lines_of_one_event_are_not_repeats_of_each_other():
    found = shop(("u", "i", 1, 1.0, "e1"), ("u", "j", 1, 1.0, "e1"), ("v", "i", 1, 1.0, "e1"))
    assert len(found) == 3


def test_rows_without_an_event_id_each_count():
    assert pairs(shop(("u", "i", 1, 1.0, None), ("u", "i", 1, 1.0, None))) == {("u", "i"): (1, 2.0)}


def test_o02_an_empty_table_is_an_error_and_not_an_empty_success():
    with pytest.raises(DataError, match=r"^empty"):
        Interactions.from_arrow(table([("u", "i", 1)]).slice(0, 0))


def test_missing_users_items_and_times_are_counted():
    with pytest.raises(DataError, match="2 of 3 rows have no user, 1 of 3 rows have no time") as error:
        shop((None, "i", 1), (None, "i", 2), ("u", "i", None))
    assert "IS NOT NULL" in error.value.hint


def test_a_missing_weight_is_an_error_like_any_other():
    with pytest.raises(DataError, match="1 of 1 rows have no weight"):
        shop(("u", "i", 1, None))


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_an_error(weight):
    with pytest.raises(DataError, match="1 of 2 weights"):
        shop(("u", "i", 1, 1.0), ("u", "i", 1, weight))


def test_a_missing_column_is_named():
    with pytest.raises(ContractError, match="a column item"):
        Interactions.from_arrow(table([("u", "i", 1)]).drop_columns(["item"]))


def test_a_time_that_is_text_is_refused():
    with pytest.raises(ContractError, match="string, not a timestamp"):
        Interactions.from_arrow(pa.table({"user": ["u"], "item": ["i"], "time": ["2011-12-09"]}))


def test_a_user_that_is_a_float_is_refused():
    with pytest.raises(ContractError, match="not double"):
        Interactions.from_arrow(pa.table({"user": [17850.0], "item": ["i"], "time": table([("u", "i", 1)])["time"]}))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_any_kind_of_text_will_do(kind):
    made = table([("u", "i", 1)])
    made = made.set_column(0, "user", made["user"].cast(kind))
    assert readable(Interactions.from_arrow(made)) == [("u", "i", 1, 1.0)]


def test_numbers_are_names_too():
    made = pa.table({"user": [10, 9], "item": [1, 2], "time": table([("u", "i", 1)] * 2)["time"]})
    assert Interactions.from_arrow(made).users.to_pylist() == ["10", "9"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_become_microseconds(unit):
    made = table([("u", "i", 1)])
    made = made.set_column(2, "time", made["time"].cast(pa.timestamp(unit, "UTC")))
    assert Interactions.from_arrow(made).times.tolist() == [DAY_US]


def test_what_is_returned_is_no_interaction():
    found = shop(("u", "i", 1, 2.0), ("u", "i", 3, -2.0), ("u", "j", 1, 2.0), ("u", "j", 2, -1.0))
    assert pairs(found) == {("u", "j"): (1, 1.0)}


def test_tenths_that_cancel_leave_nothing():
    assert pairs(shop(("u", "i", 1, 0.1), ("u", "i", 1, 0.2), ("u", "i", 1, -0.3))) == {}


def test_a_return_after_the_cut_is_not_known_before_it():
    train, test = shop(("u", "i", 1, 1.0), ("u", "i", 9, -1.0)).split(5 * DAY_US)
    assert pairs(train) == {("u", "i"): (1, 1.0)}
    assert pairs(test) == {}


def test_the_matrix_is_users_by_items_and_fades():
    found = shop(("a", "x", 90), ("a", "y", 100), ("b", "x", 80, ))
    assert found.matrix(NOW, 10.0).toarray().tolist() == [[0.5, 1.0], [0.25, 0.0]]


def test_buying_twice_is_not_stronger_than_once_and_a_view_is_weaker():
    found = shop(("a", "x", 100, 1.0), ("a", "x", 100, 1.0), ("a", "y", 100, 0.25))
    assert found.matrix(NOW, 10.0).toarray().tolist() == [[1.0, 0.25]]


def test_r07_a_transposed_matrix_is_refused():
    rows = [(f"u{number}", f"i{number % 4}", 1) for number in range(6)]
    matrix = shop(*rows).matrix(NOW, FOREVER)
    check_orientation(matrix, users=6, items=4)
    with pytest.raises(ContractError, match=r"^matrix_orientation: the matrix is 4 x 6, not 6 x 4"):
        check_orientation(matrix.T.tocsr(), users=6, items=4)


def test_popularity_halves_with_age_and_returns_subtract():
    found = shop(("a", "x", 100), ("b", "x", 93), ("a", "y", 100), ("a", "y", 100, ))
    assert found.popularity(NOW).tolist() == [1.5, 2.0]
    assert shop(("a", "x", 93, 1.0), ("a", "x", 100, -1.0)).popularity(NOW).tolist() == [0.0]


def test_only_items_with_enough_buyers_are_kept_and_no_more_than_asked():
    found = shop(*[(user, "x", 1) for user in "abc"], *[(user, "y", 1) for user in "ab"], ("a", "z", 1), ("a", "z", 2))
    assert found.restrict(2, 10).items.to_pylist() == ["x", "y"]
    assert found.restrict(1, 1).items.to_pylist() == ["x"]


def test_a_new_shop_keeps_the_items_of_most_buyers():
    assert shop(("a", "x", 1), ("b", "x", 1), ("a", "y", 1)).restrict(3, 10).items.to_pylist() == ["x"]


def test_rows_after_now_are_unknown():
    found = shop(("a", "x", 1), ("a", "y", 2), ("a", "z", 3)).until(2 * DAY_US)
    assert readable(found) == [("a", "x", 1, 1.0), ("a", "y", 2, 1.0)]
    assert found.items.to_pylist() == ["x", "y"]


def history(*rows):
    """From (item code, day, weight)."""
    codes, days, weights = zip(*rows, strict=True)
    return History(np.array(codes, np.int32), np.array(days) * DAY_US, np.array(weights, float))


def test_a_history_is_the_last_200_interactions_oldest_first():
    found = history(*[(number, number, 1.0) for number in reversed(range(250))])
    assert found.item_codes.tolist() == list(range(50, 250))
    assert found.times.tolist() == [day * DAY_US for day in range(50, 250)]


def test_a_history_nets_what_was_given_back():
    codes, last, weights = history((1, 1, 2.0), (1, 5, -1.0), (2, 3, 1.0), (2, 4, -1.0), (0, 7, 1.0)).net
    assert (codes.tolist(), (last // DAY_US).tolist(), weights.tolist()) == ([0, 1], [7, 1], [1.0, 1.0])


def test_an_empty_history_has_no_items():
    assert len(History.empty()) == 0
    assert History.empty().net[0].tolist() == []


def test_a_history_of_uneven_columns_is_refused():
    with pytest.raises(ContractError, match="as many times"):
        History(np.zeros(2, np.int32), np.zeros(1, np.int64), np.zeros(2))


def test_a_history_with_a_weight_that_is_no_number_is_refused():
    with pytest.raises(ContractError, match="finite"):
        history((1, 1, float("nan")))


@settings(max_examples=50)
@given(rows_of_a_shop)
def test_a_history_is_as_strong_in_serving_as_its_row_in_training(rows):
    found = Interactions.from_arrow(table(rows))
    matrix = found.matrix(NOW, 30.0)
    for user, mine in found.histories(found.items):
        served = np.zeros(len(found.items))
        codes, strengths = mine.strengths(NOW, 30.0)
        served[codes] = strengths
        np.testing.assert_allclose(served, matrix[user].toarray()[0], rtol=1e-6)


def test_histories_are_in_the_codes_of_the_model():
    found = shop(("a", "x", 1), ("a", "y", 2), ("b", "x", 3))
    got = {found.users[user].as_py(): mine.item_codes.tolist() for user, mine in found.histories(pa.array(["q", "y"]))}
    assert got == {"a": [1]}
