"""A model put beside the live state: scores of all items, the known and the new, in the state's codes."""

import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from caudal.learn.blend import HABIT_WEIGHT, habit, score_with_habit
from caudal.learn.card import Card
from caudal.learn.dataset import Codes, History
from caudal.learn.models import Model
from caudal.learn.models.itemitem import ItemItemModel
from caudal.learn.models.port import Scores
from caudal.serve.histories import Rows
from caudal.serve.state import LiveState

FRESH_SECONDS = 0.5
"""How long the popularity of all items is used before it is computed again."""


class Live(NamedTuple):
    """Popularity of all items, at one moment."""

    until: float
    popularity: npt.NDArray[np.float64]
    term: Scores
    """What popularity adds to each item's score."""


class Ranking:
    """One model's scores. Any number of threads may ask it."""

    def __init__(self, state: LiveState, model: Model | None, card: Card | None) -> None:
        self.state, self.model, self.card = state, model, card
        self.prior = 1.0 if model is None else model.prior
        self._place: Codes = np.empty(0, np.int32) if model is None else state.codes(model.items)
        """State's code of each of the model's items."""
        self._back = np.full(len(state.catalogue), -1, np.int32)
        """Model's code of each of the state's items, -1 for one that it does not know."""
        self._back[self._place] = np.arange(len(self._place), dtype=np.int32)
        self._live = Live(0.0, np.empty(0), np.empty(0, np.float32))

    def live(self) -> Live:
        """Popularity of every item that the catalogue has by now."""
        live, now, items = self._live, time.monotonic(), len(self.state.catalogue)
        if now > live.until or len(live.popularity) < items:
            popularity = self.state.popularity(items)
            term = (self.prior * np.log1p(popularity)).astype(np.float32)
            live = self._live = Live(now + FRESH_SECONDS, popularity, term)
        return live

    def model_codes(self, codes: Codes) -> Codes:
        """The model's codes of the state's, -1 where it knows none."""
        found = np.full(len(codes), -1, np.int32)
        old = codes < len(self._back)
        found[old] = self._back[codes[old]]
        return found

    def history(self, rows: Rows) -> History:
        """A shopper's rows as the model reads them: the items that it knows."""
        codes = self.model_codes(rows.items)
        known = codes >= 0
        return History(codes[known], rows.times[known], rows.weights[known])

    def scores(self, history: History, live: Live) -> Scores:
        """Score of each item: `Model.score` with live popularity; of an item that is new, popularity alone."""
        scores = live.term.copy()
        if self.model is not None and len(history):
            scores[self._place] += self.model.contributions(history, self.state.now)
        return scores

    def habits(self, rows: Rows, live: Live) -> npt.NDArray[np.float64]:
        """Score of each item for buying it again: `score_with_habit`; of an item that is new, habit alone."""
        scores = np.zeros(len(live.popularity))
        often = habit(History(*rows), self.state.now)
        scores[often[0]] = HABIT_WEIGHT * np.log1p(often[1])
        if self.model is not None:
            popularity = live.popularity[self._place]
            scores[self._place] = score_with_habit(self.model, self.history(rows), self.state.now, popularity)
        return scores

    def similar(self, code: int) -> Scores:
        """How well each item goes with one; 0 for all if the model cannot tell."""
        scores = np.zeros(len(self.state.catalogue), np.float32)
        known = int(self.model_codes(np.array([code], np.int32))[0])
        if self.model is not None and known >= 0 and self.model.name != "popular":
            scores[self._place] = self.model.similar(known)
        return scores

    def explain(self, history: History, codes: Codes) -> list[list[tuple[int, float]]]:
        """For each item (state's code): (item of the history, what it adds to the score), largest first."""
        if self.model is None or not len(history):
            return [[] for _ in codes]
        found = []
        for parts in _explain(self.model, history, self.model_codes(codes), self.state.now):
            found.append([(int(self._place[code]), value) for code, value in parts if value])
        return found


def _explain(model: Model, history: History, targets: Codes, now: int) -> list[list[tuple[int, float]]]:
    """`Model.explain` of several items, -1 for one that the model does not know."""
    if not isinstance(model, ItemItemModel):
        return [model.explain(history, int(target), now) if target >= 0 else [] for target in targets]
    codes, strengths = history.strengths(now, model.half_life_days)
    if not strengths.sum() > 0:
        return [[] for _ in targets]
    shares = strengths / strengths.sum()
    weights = model.weights
    starts = weights.starts[codes]
    lengths = weights.starts[codes + 1] - starts
    places = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    wanted = np.full(len(model.items) + 1, -1, np.int32)  # one more: -1 points there
    wanted[targets] = np.arange(len(targets), dtype=np.int32)
    wanted[-1] = -1
    which = wanted[weights.columns[places]]
    hit = np.flatnonzero(which >= 0)
    table = np.zeros((len(targets), len(codes)))
    rows = np.repeat(np.arange(len(codes)), lengths)[hit]
    table[which[hit], rows] = weights.values[places[hit]] * shares[rows]
    order = np.argsort(-table, axis=1, kind="stable")
    return [
        [(int(codes[place]), float(table[n, place])) for place in order[n] if table[n, place] != 0]
        for n in range(len(targets))
    ]
