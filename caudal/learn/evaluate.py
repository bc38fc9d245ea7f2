"""How good a model is at what comes after the cut: the ranking of all items, through the code that serves.

A global time split: the model saw everything before the cut, and the shoppers' purchases after it are what it should
have ranked high. Every item of the model is a candidate; nothing is sampled. Two flavours:

    new   hits are items that the shopper had not taken before; those taken are filtered from the answer
    all   hits are everything that the shopper takes, repeats too; scores are `score_with_habit`

Counted are shoppers with a history in the model's items and with at least one hit to find. The rest are left out and
told beside: `users_without_history`, and `unknown_pairs` of items that the model does not know.

Of one shopper, with r_1..r_k = 1 for a hit at that rank, else 0, and n hits to find:

    recall@k     sum r / n
    ndcg@k       sum r_i / log2(i + 1), over the same sum of a perfect answer, which has min(n, k) hits on top
    mrr@k        1 / rank of the first hit, 0 without one
    hit@k        1 with any hit, else 0

Metrics are means over shoppers. coverage@k is the share of the model's items that is in anybody's top k.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caudal.errors import DataError
from caudal.learn.blend import score_with_habit
from caudal.learn.dataset import DAY_US, Codes, History, Interactions, codes_in
from caudal.learn.models.port import Model, Scores

CUTOFFS = (10, 20)
CONCENTRATED = 0.5
"""A list that so large a share of the shoppers gets is a warning."""

Flavour = Literal["new", "all"]
Scorer = Callable[[int, History], Scores]
"""From a user's code in the training data, and the history in the model's item codes, to a score for each item."""


@dataclass(frozen=True)
class Concentration:
    """Whether shoppers get lists of their own."""

    distinct_lists: int
    share: float
    """Of shoppers who get the most common list, in order: 1.0 when everybody gets the same."""

    @classmethod
    def of(cls, lists: npt.NDArray[np.integer[Any]]) -> "Concentration":
        """From the lists of shoppers: shape (shoppers, k)."""
        counts = np.unique(lists, axis=0, return_counts=True)[1]
        return cls(len(counts), float(counts.max(initial=0)) / max(1, len(lists)))


@dataclass(frozen=True)
class Evaluation:
    """What a model achieved, and what popularity alone would have."""

    flavour: Flavour
    users: int
    """Shoppers counted."""
    pairs: int
    """Hits there were to find."""
    users_without_history: int
    unknown_pairs: int
    metrics: dict[str, float]
    popularity: dict[str, float]
    """The same metrics for items by sales in the last 7 days before the cut."""
    concentration: Concentration
    warnings: tuple[str, ...]
    """Words of a fixed vocabulary: `concentration`, `below_popularity`."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def evaluate(
    model: Model, train: Interactions, test: Interactions, *, now_us: int, flavour: Flavour = "new"
) -> Evaluation:
    """Judge `model`, which was trained on `train` up to `now_us`, by what shoppers did in `test`.

    Raises DataError if no shopper of the test has a history.
    """

    def score(user: int, history: History) -> Scores:
        return model.score(history, now_us) if flavour == "new" else score_with_habit(model, history, now_us)

    return evaluate_scorer(score, model.items, train, test, now_us=now_us, flavour=flavour)


def evaluate_scorer(
    score: Scorer, items: pa.StringArray, train: Interactions, test: Interactions, *, now_us: int, flavour: Flavour
) -> Evaluation:
    """As `evaluate`, for anything that scores `items`."""
    wanted, unknown_pairs = _wanted(items, test)
    bought = _bought(items, train)
    sales = recent_sales(train, items, now_us)
    ranked: list[_Ranked] = []
    for user, history in train.histories(items):
        name = train.users[user].as_py()
        mine = bought[user]
        hits = wanted.pop(name, _NONE)
        hits = np.setdiff1d(hits, mine) if flavour == "new" else hits
        if len(hits):
            hidden = mine if flavour == "new" else _NONE
            ranked.append(_Ranked(hits, _top(score(user, history), hidden), _top(sales, hidden)))
    if not ranked:
        raise DataError(
            "empty: no shopper has both a history before the cut and a purchase after it",
            hint="move the cut: the test needs shoppers who come back",
        )
    metrics = _metrics([(one.hits, one.answer) for one in ranked], len(items))
    popularity = _metrics([(one.hits, one.popular) for one in ranked], len(items))
    concentration = Concentration.of(np.stack([one.answer[: CUTOFFS[0]] for one in ranked]))
    return Evaluation(
        flavour, len(ranked), sum(len(one.hits) for one in ranked), len(wanted), unknown_pairs,
        metrics, popularity, concentration, tuple(_warnings(metrics, popularity, concentration, len(ranked))),
    )


def recent_sales(train: Interactions, items: pa.StringArray, now_us: int, days: float = 7.0) -> Scores:
    """Weight of each of `items` in the days before `now_us`: shape (items,)."""
    codes = codes_in(train.items, items)[train.item_codes]
    recent = (codes >= 0) & (train.times >= now_us - days * DAY_US) & (train.times <= now_us)
    return np.bincount(codes[recent], train.weights[recent], len(items)).astype(np.float32)


_NONE: Codes = np.empty(0, np.int32)


class _Ranked(NamedTuple):
    """Of one shopper: the codes to find, the answer's, and popularity's."""

    hits: Codes
    answer: Codes
    popular: Codes


def _wanted(items: pa.StringArray, test: Interactions) -> tuple[dict[str, Codes], int]:
    """(item codes that each user took in the test, number of pairs with an item that is not in `items`)."""
    pairs = test.pairs()
    codes = codes_in(test.items, items)[pairs.item_codes]
    names = test.users.to_pylist()
    groups = _groups(pairs.user_codes, codes, len(names))
    return {name: codes for name, codes in zip(names, groups, strict=True) if len(codes)}, int((codes < 0).sum())


def _bought(items: pa.StringArray, train: Interactions) -> list[Codes]:
    """Item codes that each user of `train` has taken and not given back."""
    pairs = train.pairs()
    return list(_groups(pairs.user_codes, codes_in(train.items, items)[pairs.item_codes], len(train.users)))


def _groups(users: Codes, codes: Codes, count: int) -> Iterator[Codes]:
    """The codes of each user, from pairs ordered by user; those below 0 are left out."""
    ends = np.searchsorted(users, np.arange(1, count + 1))
    for start, stop in zip(np.r_[0, ends[:-1]], ends, strict=True):
        mine = codes[start:stop]
        yield mine[mine >= 0]


def _top(scores: Scores, hidden: Codes) -> Codes:
    """Codes of the best, best first, ties by code; fewer if nothing else is left."""
    scores = scores.copy()
    scores[hidden] = -np.inf
    best = np.argsort(-scores, kind="stable")[: CUTOFFS[-1]]
    return best[np.isfinite(scores[best])].astype(np.int32)


def _metrics(answers: list[tuple[Codes, Codes]], items: int) -> dict[str, float]:
    """Means over shoppers, from (codes to find, codes answered) of each."""
    discounts = 1 / np.log2(np.arange(2, CUTOFFS[-1] + 2))
    perfect = np.cumsum(discounts)
    metrics: dict[str, float] = {}
    for k in CUTOFFS:
        values = []
        shown = np.zeros(items, bool)
        for wanted, answer in answers:
            hits = np.isin(answer[:k], wanted)
            shown[answer[:k]] = True
            first = 1 / (1 + int(hits.argmax())) if hits.any() else 0.0
            gain = discounts[: len(hits)][hits].sum() / perfect[min(len(wanted), k) - 1]
            values.append((hits.sum() / len(wanted), gain, first, float(hits.any())))
        for name, mean in zip(("recall", "ndcg", "mrr", "hit"), np.mean(values, axis=0), strict=True):
            metrics[f"{name}@{k}"] = float(mean)
        metrics[f"coverage@{k}"] = float(shown.mean())
    return metrics


def _warnings(
    metrics: dict[str, float], popularity: dict[str, float], concentration: Concentration, users: int
) -> Iterator[str]:
    if users > 1 and concentration.share > CONCENTRATED:
        yield "concentration"
    if metrics["ndcg@10"] < popularity["ndcg@10"]:
        yield "below_popularity"
