"""Item-item nearest neighbours: items that the same shoppers took, by cosine.

The classic of Sarwar, Karypis, Konstan, Riedl (WWW 2001), scored over a recency-weighted history.
"""

from typing import Any, ClassVar, Self

import numpy as np
from threadpoolctl import threadpool_limits

from caudal.errors import DataError
from caudal.learn.dataset import FOREVER, Interactions, check_orientation
from caudal.learn.models.itemitem import ItemItemModel, Weights
from caudal.learn.models.options import Amount, Count, Days, Options, choose


class ItemKnnOptions(Options, frozen=True):
    """Settings of `itemknn`; the defaults were chosen on the validation window of UCI Online Retail."""

    neighbours: Count = 50
    half_life_days: Days = 60.0
    """Of an interaction in the shopper's history."""
    prior: Amount = 0.03
    """Weight of log popularity."""
    min_buyers: Count = 3
    max_items: Count = 8000


class ItemKnnModel(ItemItemModel):
    """W: cosine of the items' columns in the users x items matrix, the nearest neighbours of each item kept."""

    name: ClassVar[str] = "itemknn"

    @classmethod
    def fit(cls, interactions: Interactions, *, now_us: int, seed: int, **options: Any) -> Self:
        chosen = choose(ItemKnnOptions, options)
        known = interactions.until(now_us).restrict(chosen.min_buyers, chosen.max_items)
        if not len(known):
            raise DataError("empty: there are no interactions to learn from")
        matrix = known.matrix(now_us, FOREVER)
        check_orientation(matrix, len(known.users), len(known.items))
        with threadpool_limits(1):
            together = (matrix.T @ matrix).toarray()
        size = np.sqrt(np.maximum(together.diagonal(), 1e-12))
        together /= size[:, None] * size[None, :]
        np.fill_diagonal(together, 0)
        weights = Weights.largest(together, chosen.neighbours)
        return cls(known.items, known.popularity(now_us), chosen.prior, chosen.half_life_days, weights)
