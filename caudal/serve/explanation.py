"""Which items of a history speak for each item of an answer."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from caudal.learn.dataset import Codes, Floats, History
from caudal.learn.models import Model
from caudal.learn.models.itemitem import ItemItemModel
from caudal.serve.answer import TOLD


class Explanation(NamedTuple):
    """What the history adds to one score."""

    parts: tuple[tuple[int, float], ...]
    """(item of the history, what it adds): the largest first, at most `TOLD`."""
    others: float
    """What the rest of the history adds."""


Explain = Callable[[History, Codes, int], list[Explanation]]
"""From a history, items (-1 for one that the model does not know) and the time, in the model's codes."""


def explainer(model: Model) -> Explain:
    """`Model.explain` for several items at once."""
    if isinstance(model, ItemItemModel):
        return _ItemItem(model)
    return lambda history, targets, now: [
        _told(model.explain(history, int(target), now)) if target >= 0 else Explanation((), 0.0) for target in targets
    ]


def _told(parts: list[tuple[int, float]]) -> Explanation:
    return Explanation(tuple(parts[:TOLD]), sum(value for _, value in parts[TOLD:]))


class _ItemItem:
    """The weights by column: a column is what all items add to one, and an answer has few items."""

    def __init__(self, model: ItemItemModel) -> None:
        self._model = model
        weights = model.weights
        rows = np.repeat(np.arange(len(model.items), dtype=np.int32), np.diff(weights.starts))
        order = np.argsort(weights.columns, kind="stable")
        self._rows, self._values = rows[order], weights.values[order]
        self._starts = np.searchsorted(weights.columns[order], np.arange(len(model.items) + 1)).tolist()

    def __call__(self, history: History, targets: Codes, now: int) -> list[Explanation]:
        codes, strengths = history.strengths(now, self._model.half_life_days)
        total = strengths.sum()
        shares = np.zeros(len(self._model.items))
        if total > 0:
            shares[codes] = strengths / total
        known = targets[targets >= 0]
        found = iter(self._parts(shares, known.tolist()))
        return [next(found) if target >= 0 else Explanation((), 0.0) for target in targets.tolist()]

    def _parts(self, shares: Floats, targets: list[int]) -> list[Explanation]:
        columns = [slice(self._starts[target], self._starts[target + 1]) for target in targets]
        if not columns:
            return []
        rows = np.concatenate([self._rows[column] for column in columns])
        added = shares[rows] * np.concatenate([self._values[column] for column in columns])
        owners = np.repeat(np.arange(len(targets)), [column.stop - column.start for column in columns])
        said = np.flatnonzero(added)
        said = said[np.lexsort((-added[said], owners[said]))]  # stable, and rows ascend: ties are by item
        ends = np.searchsorted(owners[said], np.arange(len(targets) + 1)).tolist()
        items, values = rows[said].tolist(), added[said].tolist()
        found = []
        for start, end in pairwise(ends):
            told = min(end, start + TOLD)
            parts = tuple(zip(items[start:told], values[start:told], strict=True))
            found.append(Explanation(parts, sum(values[told:end])))
        return found
