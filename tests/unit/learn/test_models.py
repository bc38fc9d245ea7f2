"""Each algorithm: reproducible, finite, explained by its own arithmetic, and safe to carry as bytes."""

import hashlib
import io
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.errors import ContractError, DataError
from caudal.learn.blend import score_with_habit
from caudal.learn.dataset import DAY_US, FOREVER, History, Interactions
from caudal.learn.models import BACKENDS, load_model, open_model_class
from caudal.learn.models.artifact import MAGIC
from caudal.learn.models.ease import EaseOptions, following, together

NOW = 200 * DAY_US
NAMES = sorted(BACKENDS)

each_model = pytest.mark.parametrize("name", NAMES)


def shop(rows):
    """From (user, item, day)."""
    users, items, days = zip(*rows, strict=True)
    times = pa.array([int(day * DAY_US) for day in days], pa.timestamp("us", "UTC"))
    return Interactions.from_arrow(pa.table({"user": users, "item": items, "time": times}))


@cache
def rows():
    """40 shoppers of two tastes, 20 items, 200 days."""
    random = np.random.default_rng(3)
    made = []
    for user in range(40):
        for _ in range(15):
            item = (user % 2) * 10 + int(random.integers(10)) if random.random() < 0.9 else int(random.integers(20))
            made.append((f"u{user:02}", f"i{item:02}", float(random.integers(200))))
    return made


@cache
def fitted(name):
    return open_model_class(name).fit(shop(rows()), now_us=NOW, seed=7)


@cache
def sharp(name):
    """As `fitted`; ALS with the little regularization that a shop this small needs."""
    options = {"als": {"factors": 4, "regularization": 0.1}}.get(name, {})
    return open_model_class(name).fit(shop(rows()), now_us=NOW, seed=7, **options)


def history(*items, days=None):
    days = np.full(len(items), 199) if days is None else np.array(days)
    return History(np.array(items, np.int32), days.astype(np.int64) * DAY_US, np.ones(len(items)))


histories = st.lists(
    st.tuples(st.integers(0, 19), st.integers(0, 250), st.sampled_from([1.0, 3.0, 0.2, -1.0])), max_size=30
).map(
    lambda made: History(
        np.array([row[0] for row in made], np.int32), np.array([row[1] for row in made], np.int64) * DAY_US,
        np.array([row[2] for row in made], np.float64),
    )
)


@each_model
def test_t08_the_same_data_and_seed_give_the_same_bytes(name):
    again = open_model_class(name).fit(shop(rows()), now_us=NOW, seed=7)
    assert again.save() == fitted(name).save()


@each_model
def test_t08_the_order_of_the_rows_does_not_change_the_bytes(name):
    again = open_model_class(name).fit(shop(rows()[::-1]), now_us=NOW, seed=7)
    assert again.save() == fitted(name).save()


@each_model
def test_r01_a_shopper_never_seen_gets_the_ranking_of_popularity(name):
    model = fitted(name)
    scores = model.score(History.empty(), NOW)
    assert np.isfinite(scores).all()
    assert scores.dtype == np.float32 and scores.shape == (len(model.items),)
    by_popularity = np.argsort(-model.popularity, kind="stable")
    assert np.argsort(-scores, kind="stable").tolist() == by_popularity.tolist()


@each_model
def test_live_popularity_takes_the_place_of_the_one_at_training(name):
    model = fitted(name)
    live = np.zeros(len(model.items))
    live[4] = 9.0
    assert model.score(History.empty(), NOW, live).argmax() == 4


@each_model
def test_r02_scores_are_finite_for_items_bought_and_not(name):
    """Four items, one bought: four finite scores, and three are left once the caller hides the bought one."""
    small = shop([(user, item, 1) for user in "abc" for item in ("i0", "i1", "i2", "i3")])
    model = open_model_class(name).fit(small, now_us=2 * DAY_US, seed=1)
    scores = model.score(history(0, days=[1]), 2 * DAY_US)
    assert scores.shape == (4,)
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() < 1e6


@each_model
@settings(max_examples=30, deadline=None)
@given(mine=histories)
def test_r02_any_history_gives_finite_scores(name, mine):
    model = fitted(name)
    assert np.isfinite(model.score(mine, NOW)).all()
    assert np.isfinite(score_with_habit(model, mine, NOW)).all()


@each_model
@settings(max_examples=30, deadline=None)
@given(mine=histories, item=st.integers(0, 19))
def test_r13_contributions_and_popularity_sum_to_the_score(name, mine, item):
    model = fitted(name)
    parts = model.explain(mine, item, NOW)
    assert {code for code, _ in parts} <= set(mine.item_codes.tolist())
    total = sum(part for _, part in parts) + model.popularity_term()[item]
    assert total == pytest.approx(model.score(mine, NOW)[item], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["als", "ease", "itemknn"])
def test_r13_the_reason_is_the_item_that_goes_with_the_recommended_one(name):
    """i1 and i9 are always bought together, i2 by others: i9 is recommended because of i1."""
    made = [(f"u{number}", item, 150 + number % 3) for number in range(20) for item in ("i1", "i9")]
    made += [(f"v{number}", item, 150 + number % 3) for number in range(20) for item in ("i2", "i5")]
    options = {"als": {"factors": 4, "regularization": 0.1}}.get(name, {})
    model = open_model_class(name).fit(shop(made), now_us=NOW, seed=1, **options)
    codes = {item: code for code, item in enumerate(model.items.to_pylist())}
    parts = model.explain(history(codes["i1"], codes["i2"]), codes["i9"], NOW)
    assert parts[0][0] == codes["i1"]
    assert parts[0][1] > 0
    assert all(part <= parts[0][1] / 2 for _, part in parts[1:])


@pytest.mark.parametrize("name", ["als", "ease", "itemknn"])
def test_a_taste_is_recognised(name):
    scores = sharp(name).contributions(history(1, 2, 3), NOW)
    assert scores[[0, 4, 5, 6, 7, 8, 9]].mean() > scores[10:].mean()


@pytest.mark.parametrize("name", ["als", "ease", "itemknn"])
def test_what_was_taken_lately_counts_more(name):
    lately_first = sharp(name).contributions(history(1, 11, days=[199, 20]), NOW)
    assert lately_first[[0, 2, 3, 4]].sum() > lately_first[[12, 13, 14, 15]].sum()


@each_model
def test_the_item_itself_is_the_least_similar(name):
    scores = fitted(name).similar(3)
    assert np.isfinite(scores).all()
    assert scores.argmin() == 3 and (scores == scores[3]).sum() == 1


@each_model
def test_a_model_reads_back_equal(name):
    model, mine = fitted(name), history(1, 5, 12)
    again = load_model(model.save())
    assert type(again) is type(model)
    assert again.items.equals(model.items)
    assert again.save() == model.save()
    assert np.array_equal(again.score(mine, NOW), model.score(mine, NOW))


@settings(max_examples=25, deadline=None)
@given(names=st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=8))
def test_any_item_id_survives_saving(names):
    model = open_model_class("popular").fit(shop([("u", item, 1) for item in sorted(names)]), now_us=NOW, seed=1)
    assert set(load_model(model.save()).items.to_pylist()) == names


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_recognised(data):
    whole = bytearray(fitted("ease").save())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DataError):
        load_model(bytes(whole))


def test_a_pickle_inside_a_model_is_never_opened():
    body = io.BytesIO()
    np.savez(body, meta=np.array([open], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        load_model(MAGIC + hashlib.sha256(body.getvalue()).digest() + body.getvalue())


@pytest.mark.parametrize("cut", [0, 10, 40, 500])
def test_bytes_cut_short_are_recognised(cut):
    with pytest.raises(DataError):
        load_model(fitted("ease").save()[:cut])


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(DataError, match="'popular', not 'ease'"):
        open_model_class("ease").load(fitted("popular").save())


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(ContractError, match="no model 'eaze'") as error:
        open_model_class("eaze")
    assert "'ease'" in error.value.hint


@each_model
def test_an_unknown_option_names_the_nearest(name):
    with pytest.raises(ContractError, match="no option 'half_life'") as error:
        open_model_class(name).fit(shop(rows()), now_us=NOW, seed=1, half_life=3)
    assert "half_life_days" in error.value.hint


@each_model
def test_an_impossible_option_is_refused(name):
    with pytest.raises(ContractError, match="half_life_days"):
        open_model_class(name).fit(shop(rows()), now_us=NOW, seed=1, half_life_days=0)


@each_model
def test_nothing_before_now_is_nothing_to_learn_from(name):
    with pytest.raises(DataError, match=r"^empty"):
        open_model_class(name).fit(shop(rows()), now_us=-1, seed=1)


@each_model
def test_what_comes_after_now_is_not_learned(name):
    early = [row for row in rows() if row[2] <= 100]
    cls = open_model_class(name)
    assert cls.fit(shop(rows()), now_us=100 * DAY_US, seed=7).save() == cls.fit(
        shop(early), now_us=100 * DAY_US, seed=7
    ).save()


@each_model
@pytest.mark.parametrize("code", [-1, 20])
def test_an_item_code_of_another_model_is_refused(name, code):
    with pytest.raises(ContractError, match=r"outside 0\.\.19"):
        fitted(name).score(history(code), NOW)


@each_model
def test_popularity_of_another_model_is_refused(name):
    with pytest.raises(ContractError, match="20 items"):
        fitted(name).score(History.empty(), NOW, np.zeros(19))


@each_model
def test_one_item_and_one_shopper_are_a_shop(name):
    model = open_model_class(name).fit(shop([("u", "i", 1)]), now_us=NOW, seed=1)
    assert np.isfinite(model.score(history(0), NOW)).all()
    assert np.isfinite(load_model(model.save()).similar(0)).all()


def test_ease_is_the_closed_form_of_the_paper():
    matrix = shop(rows()).matrix(NOW, FOREVER)
    inverse = np.linalg.inv((matrix.T @ matrix).toarray().astype(float) + 5 * np.eye(20))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(together(matrix, 5.0), expected, atol=1e-5)


def test_ease_learns_what_comes_next():
    """Whoever took a cot takes a high chair a month later: after a cot, the chair comes first."""
    made = [(f"u{number}", "cot", 110 + number % 50) for number in range(30)]
    made += [(f"u{number}", "chair", 140 + number % 50) for number in range(30)]
    made += [(f"v{number}", item, 100 + number) for number in range(60) for item in ("tea", "mug")]
    model = open_model_class("ease").fit(shop(made), now_us=NOW, seed=1, prior=0)
    codes = {item: code for code, item in enumerate(model.items.to_pylist())}
    assert model.score(history(codes["cot"]), NOW).argmax() == codes["chair"]
    plain = open_model_class("ease").fit(shop(made), now_us=NOW, seed=1, prior=0, next_weight=0)
    assert model.weights.row(codes["cot"])[1].max() > plain.weights.row(codes["cot"])[1].max()


@pytest.mark.parametrize("shoppers", [4, 40])
def test_what_comes_next_is_the_regression_that_it_says(shoppers):
    """The smaller of two systems is solved: the shoppers' for 4 of them, the items' for 40."""
    known = shop([row for row in rows() if row[0] < f"u{shoppers:02}"])
    start = NOW - 60 * DAY_US
    before = known.rows(known.times < start).matrix(start, 120.0).toarray().astype(float)
    after = (known.rows(known.times >= start).matrix(NOW, FOREVER).toarray() > 0) & (before == 0)
    active = before.any(axis=1) & after.any(axis=1)
    before, after = before[active] * 0.5**0.5, after[active] * 0.5**0.5
    items = len(known.items)
    assert (len(before) < items) == (shoppers == 4)
    expected = 4 * np.linalg.solve(before.T @ before + 400 * np.eye(items), before.T @ after)
    np.fill_diagonal(expected, 0)
    found = following(known, NOW, EaseOptions(next_windows=1, next_window_days=60.0))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_item_knn_is_the_cosine():
    model = open_model_class("itemknn").fit(
        shop([("a", "x", 1), ("a", "y", 1), ("b", "x", 1), ("c", "x", 1), ("c", "z", 1)]),
        now_us=NOW, seed=1, min_buyers=1,
    )
    assert model.similar(0)[1:].tolist() == pytest.approx([3**-0.5, 3**-0.5])
    assert model.contributions(history(1), NOW).tolist() == pytest.approx([3**-0.5, 0, 0])


def test_als_folds_a_history_in_as_its_library_does():
    from implicit.als import AlternatingLeastSquares

    model = fitted("als")
    library = AlternatingLeastSquares(factors=64, regularization=10.0, num_threads=1, use_cg=False, use_native=False)
    library.item_factors = model.factors
    matrix = shop([("u", item, day) for item, day in (("i01", 199), ("i05", 150), ("i12", 20))]).matrix(NOW, 60.0)
    row = np.zeros((1, 20), np.float32)
    row[0, [1, 5, 12]] = matrix.toarray()[0] * 2.0
    from scipy import sparse

    user = library.recalculate_user(0, sparse.csr_matrix(row))
    mine = history(1, 5, 12, days=[199, 150, 20])
    np.testing.assert_allclose(model.contributions(mine, NOW), model.factors @ user, atol=1e-4)


def test_a_habit_comes_before_a_taste_and_what_was_returned_is_none():
    model = fitted("ease")
    often = History(
        np.array([17, 17, 17, 3, 3], np.int32), np.array([150, 170, 190, 180, 190]) * DAY_US,
        np.array([1, 1, 1, 1, -1.0]),
    )
    scores = score_with_habit(model, often, NOW)
    assert scores.argmax() == 17
    without = History(often.item_codes[:3], often.times[:3], often.weights[:3])
    alone = score_with_habit(model, History(np.full(3, 17, np.int32), without.times, np.ones(3)), NOW)
    assert scores[3] == pytest.approx(alone[3])
