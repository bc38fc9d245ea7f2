"""Which items of a history speak for each item of an answer."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from caudal.learn.dataset import Codes, History
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
    """The weights by column, each filled up to the length of the longest.

    A column is what all items add to one, and an answer has few.
    """

    def __init__(self, model: ItemItemModel) -> None:
        self._model, weights, items = model, model.weights, len(model.items)
        order = np.argsort(weights.columns, kind="stable")
        columns = weights.columns[order]
        place = np.arange(len(columns)) - np.searchsorted(columns, np.arange(items))[columns]
        width = max(TOLD + 1, 1 + int(place.max(initial=0)))
        self._rows = np.full((items, width), items, np.int32)  # one beyond the last: its share is 0
        self._rows[columns, place] = np.repeat(np.arange(items, dtype=np.int32), np.diff(weights.starts))[order]
        self._values = np.zeros((items, width), np.float32)
        self._values[columns, place] = weights.values[order]

    def __call__(self, history: History, targets: Codes, now: int) -> list[Explanation]:
        codes, strengths = history.strengths(now, self._model.half_life_days)
        total = strengths.sum()
        if not total > 0:
            return [Explanation((), 0.0) for _ in targets]
        shares = np.zeros(len(self._model.items) + 1)
        shares[codes] = strengths / total
        rows = self._rows[targets]
        added = shares[rows] * self._values[targets]
        added[targets < 0] = 0.0
        keys = np.where(added != 0, -added, np.inf)
        told = np.argsort(keys, axis=1, kind="stable")[:, :TOLD]  # rows ascend: ties are by item
        line = np.arange(len(targets))[:, None]
        items, values = rows[line, told].tolist(), added[line, told].tolist()
        others = added.sum(axis=1).tolist()
        return [
            Explanation(parts, other - sum(value for _, value in parts))
            for parts, other in zip(map(_nonzero, items, values), others, strict=True)
        ]


def _nonzero(items: list[int], values: list[float]) -> tuple[tuple[int, float], ...]:
    return tuple(pair for pair in zip(items, values, strict=True) if pair[1])
