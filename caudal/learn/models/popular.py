"""What sells now, to everyone alike: the baseline, and what a shopper without history gets."""

from typing import Any, ClassVar, Self

import numpy as np

from caudal.errors import DataError
from caudal.learn.dataset import History, Interactions
from caudal.learn.models import artifact
from caudal.learn.models.options import Days, Options, choose
from caudal.learn.models.port import Model, Scores


class PopularOptions(Options, frozen=True):
    """Settings of `popular`."""

    half_life_days: Days = 7.0
    """A sale counts half after so many days; applies to the counts at training, live ones come with their own."""


class PopularModel(Model):
    """Score: log(1 + decayed weight of the item)."""

    name: ClassVar[str] = "popular"

    @classmethod
    def fit(cls, interactions: Interactions, *, now_us: int, seed: int, **options: Any) -> Self:
        chosen = choose(PopularOptions, options)
        known = interactions.until(now_us)
        if not len(known):
            raise DataError("empty: there are no interactions to learn from")
        return cls(known.items, known.popularity(now_us, chosen.half_life_days), prior=1.0)

    def contributions(self, history: History, now_us: int) -> Scores:
        self.check(history.item_codes)
        return np.zeros(len(self.items), np.float32)

    def explain(self, history: History, item_code: int, now_us: int) -> list[tuple[int, float]]:
        self.check(np.array([*history.item_codes, item_code]))
        return []

    def similar(self, item_code: int) -> Scores:
        """Popularity: the model knows nothing else."""
        self.check(np.array([item_code]))
        scores = self.popularity_term()
        scores[item_code] = scores.min() - 1
        return scores

    def save(self) -> bytes:
        return artifact.pack(self.name, self.items, {"prior": self.prior}, {"popularity": self.popularity})

    @classmethod
    def load(cls, data: bytes) -> Self:
        stored = artifact.unpack(cls.name, data)
        return cls(stored.items, stored.arrays["popularity"], stored.settings["prior"])
