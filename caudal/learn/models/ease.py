"""The default: a linear model of what goes together and what comes next, solved in closed form.

W is the sum of two item-item matrices.

*Together* is EASE (Steck, WWW 2019, https://arxiv.org/abs/1905.03375): each item regressed on all others, over a
users x items matrix X that fades with a half-life:  P = (X'X + ridge I)^-1,  B = I - P / diag(P).

*Next* regresses what shoppers took anew in a window of 30 days on what they had taken before it, over the latest
windows, each counting half of the one after it:  F = (sum w H'H + next_ridge I)^-1  sum w H'Y. With it NDCG@10 of new
items on the validation window of UCI Online Retail is 0.126, without it 0.108.

Defaults were chosen on that window (2011-10-11 to 2011-11-09), never on the test window after it.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from caudal.errors import DataError
from caudal.learn.dataset import DAY_US, FOREVER, Interactions, check_orientation
from caudal.learn.models.itemitem import Dense, ItemItemModel, Weights
from caudal.learn.models.options import Amount, Count, Days, Options, Positive, choose


class EaseOptions(Options, frozen=True):
    """Settings of `ease`."""

    train_half_life_days: Days = 120.0
    ridge: Positive = 200.0
    next_weight: Amount = 4.0
    """How much *next* counts beside *together*; 0 leaves plain EASE."""
    next_ridge: Positive = 400.0
    next_windows: Count = 4
    next_window_days: Days = 30.0
    """Shortened to a third of the data's span in a shop younger than three windows."""
    next_half_life_days: Days = 120.0
    """Of what shoppers had taken before a window."""
    next_sources: Count = 4000
    """Items that predict what comes next, those of most buyers: it bounds the time, not what can be predicted."""
    half_life_days: Days = 60.0
    """Of an interaction in the shopper's history."""
    prior: Amount = 0.002
    """Weight of log 7-day popularity."""
    kept_weights: Count = 100
    """Weights into each item that the model keeps, the largest: 3 MB for 3,000 items, and no loss on that window."""
    min_buyers: Count = 3
    max_items: Count = 8000
    """Items of most buyers; training takes memory 4 n^2 and time n^3."""


class EaseModel(ItemItemModel):
    """EASE on a fading matrix, plus a regression on what comes next."""

    name: ClassVar[str] = "ease"

    @classmethod
    def fit(cls, interactions: Interactions, *, now_us: int, seed: int, **options: Any) -> Self:
        chosen = choose(EaseOptions, options)
        known = interactions.until(now_us).restrict(chosen.min_buyers, chosen.max_items)
        if not len(known):
            raise DataError("empty: there are no interactions to learn from")
        matrix = known.matrix(now_us, chosen.train_half_life_days)
        check_orientation(matrix, len(known.users), len(known.items))
        with threadpool_limits(1):  # with more, sums come in another order, and bytes differ
            dense = together(matrix, chosen.ridge)
            if chosen.next_weight:
                dense += following(known, now_us, chosen)
        weights = Weights.largest(dense, chosen.kept_weights)
        return cls(known.items, known.popularity(now_us), chosen.prior, chosen.half_life_days, weights)


def together(matrix: sparse.csr_matrix, ridge: float) -> Dense:
    """B of EASE, items x items with a diagonal of zeros, from users x items.

    Float32 is enough: strengths are at most 1, so the condition is at most (1 + users x items of a user / ridge).
    """
    inverse = _inverse(_gram(matrix, ridge))
    inverse /= -inverse.diagonal()[None, :]
    np.fill_diagonal(inverse, 0)
    return inverse


def following(known: Interactions, now_us: int, chosen: EaseOptions) -> Dense:
    """next_weight x F, items x items, from the latest windows."""
    windows = list(_windows(known, now_us, chosen))
    items = len(known.items)
    if not windows:
        return np.zeros((items, items), np.float32)
    before = sparse.vstack([window.before for window in windows], format="csr")
    after = sparse.vstack([window.after for window in windows], format="csr")
    counts = before.getnnz(axis=0)
    sources = np.sort(np.lexsort((np.arange(items), -counts))[: chosen.next_sources])
    before = before[:, sources]
    if before.shape[0] < len(sources):  # H'(HH' + r I)^-1 Y is the same, and the smaller system
        solved = _solve(_gram(before.T.tocsr(), chosen.next_ridge), after.toarray(order="F"))
        found = before.T @ solved
    else:
        found = _solve(_gram(before, chosen.next_ridge), (before.T @ after).toarray(order="F"))
    full = np.zeros((items, items), np.float32)
    full[sources] = found * np.float32(chosen.next_weight)
    np.fill_diagonal(full, 0)
    return full


class _Window(NamedTuple):
    """Shoppers x items, weighted: what they had taken before a day, and what they took anew in the days after."""

    before: sparse.csr_matrix
    after: sparse.csr_matrix


def _windows(known: Interactions, now_us: int, chosen: EaseOptions) -> Iterator[_Window]:
    """The latest windows, newest first; each counts half of the one after it."""
    length = int(min(chosen.next_window_days * DAY_US, (now_us - int(known.times[0])) / 3))
    for number in range(1, chosen.next_windows + 1):
        start = now_us - number * length
        past = known.times < start
        if not past.any():
            return
        before = known.rows(past).matrix(start, chosen.next_half_life_days)
        after = known.rows(~past & (known.times < start + length)).matrix(start, FOREVER)
        after = (after > 0) > (before > 0)
        active = np.flatnonzero((before.getnnz(axis=1) > 0) & (after.getnnz(axis=1) > 0))
        if not len(active):
            continue
        root = np.float32(2 ** (-number / 2))  # its square weighs the window
        yield _Window(before[active] * root, after[active] * root)


def _gram(matrix: sparse.csr_matrix, ridge: float) -> Dense:
    """matrix' matrix + ridge I, float32, columns x columns."""
    gram: Dense = (matrix.T @ matrix).toarray(order="F")
    gram[np.diag_indices_from(gram)] += np.float32(ridge)
    return gram


def _inverse(gram: Dense) -> Dense:
    """Inverse of a positive definite matrix, which is overwritten."""
    triangle, failed = lapack.spotri(_factor(gram), lower=1, overwrite_c=1)
    if failed:
        raise DataError("the items' matrix cannot be inverted", hint="raise `ridge`")
    inverse: Dense = np.tril(triangle)
    inverse += np.tril(triangle, -1).T
    return inverse


def _solve(gram: Dense, right: Dense) -> Dense:
    """gram^-1 right, of a positive definite matrix; both are overwritten."""
    solved: Dense
    solved, failed = lapack.spotrs(_factor(gram), right, lower=1, overwrite_b=1)
    if failed:
        raise DataError("the windows' matrix cannot be solved", hint="raise `next_ridge`")
    return solved


def _factor(gram: Dense) -> Dense:
    factor: Dense
    factor, failed = lapack.spotrf(gram, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise DataError("the items' matrix is not positive definite in float32", hint="raise `ridge` or `next_ridge`")
    return factor
