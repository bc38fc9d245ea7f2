"""Linear item-item models: each item a shopper took adds its row of weights, faded by age, to the scores.

    score[j] = sum over history items i of  s[i] / sum(s) * W[i, j]  +  prior * log(1 + popularity[j])

where s is `History.strengths`. Dividing by the sum of strengths makes the two terms comparable for a shopper of one
purchase and one of hundreds. Algorithms differ in how they find W.
"""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caudal.learn.dataset import Codes, History
from caudal.learn.models import artifact
from caudal.learn.models.port import Model, Scores

Dense = npt.NDArray[np.float32]


class Weights(NamedTuple):
    """W, without its small weights: row i holds what taking item i adds to other items."""

    starts: npt.NDArray[np.int64]
    """Where each row starts in the others, and where the last ends: shape (items + 1,)."""
    columns: Codes
    """Ascending in a row."""
    values: Dense

    @classmethod
    def largest(cls, dense: Dense, per_column: int) -> "Weights":
        """The `per_column` weights of largest size into each item; consumes nothing of `dense` (items x items)."""
        items = len(dense)
        kept = np.zeros(dense.shape, bool)
        for start in range(0, items, 512):  # a block at a time, for the memory
            block = np.abs(dense[:, start : start + 512])
            if per_column < items:
                rows = np.argpartition(-block, per_column, axis=0)[:per_column]
                np.put_along_axis(kept[:, start : start + 512], rows, True, axis=0)
            else:
                kept[:, start : start + 512] = True
        kept &= dense != 0
        rows, columns = np.nonzero(kept)
        starts = np.searchsorted(rows, np.arange(items + 1)).astype(np.int64)
        return cls(starts, columns.astype(np.int32), dense[kept])

    def row(self, item: int) -> tuple[Codes, Dense]:
        """(columns, values) of one row."""
        part = slice(self.starts[item], self.starts[item + 1])
        return self.columns[part], self.values[part]


class ItemItemModel(Model):
    """Base of the linear item-item models."""

    def __init__(
        self, items: pa.StringArray, popularity: npt.NDArray[np.floating[Any]], prior: float,
        half_life_days: float, weights: Weights,
    ) -> None:
        super().__init__(items, popularity, prior)
        self.half_life_days = half_life_days
        """An interaction of a shopper's history counts half after so many days."""
        self.weights = weights

    def contributions(self, history: History, now_us: int) -> Scores:
        codes, shares = self._shares(history, now_us)
        starts = self.weights.starts[codes]
        lengths = self.weights.starts[codes + 1] - starts
        before = np.cumsum(lengths) - lengths
        places = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        values = self.weights.values[places] * np.repeat(shares, lengths)
        return np.bincount(self.weights.columns[places], values, len(self.items)).astype(np.float32)

    def explain(self, history: History, item_code: int, now_us: int) -> list[tuple[int, float]]:
        self.check(np.array([item_code]))
        found = []
        for code, share in zip(*self._shares(history, now_us), strict=True):
            columns, values = self.weights.row(code)
            place = np.searchsorted(columns, item_code)
            if place < len(columns) and columns[place] == item_code:
                found.append((int(code), float(share * values[place])))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def similar(self, item_code: int) -> Scores:
        """What taking this item alone would add to each."""
        self.check(np.array([item_code]))
        columns, values = self.weights.row(item_code)
        scores = np.zeros(len(self.items), np.float32)
        scores[columns] = values
        scores[item_code] = scores.min() - 1
        return scores

    def save(self) -> bytes:
        settings = {"prior": self.prior, "half_life_days": self.half_life_days}
        arrays = {"popularity": self.popularity, **self.weights._asdict()}
        return artifact.pack(self.name, self.items, settings, arrays)

    @classmethod
    def load(cls, data: bytes) -> Self:
        stored = artifact.unpack(cls.name, data)
        weights = Weights(*(stored.arrays[name] for name in Weights._fields))
        settings = stored.settings
        return cls(stored.items, stored.arrays["popularity"], settings["prior"], settings["half_life_days"], weights)

    def _shares(self, history: History, now_us: int) -> tuple[Codes, npt.NDArray[np.float64]]:
        """(item codes, share of each in the shopper's taste, summing to 1)."""
        self.check(history.item_codes)
        codes, strengths = history.strengths(now_us, self.half_life_days)
        total = strengths.sum()
        if not total > 0:
            return codes[:0], strengths[:0]
        return codes, strengths / total
