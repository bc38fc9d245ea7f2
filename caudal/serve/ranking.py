"""A model put beside the live state: the best of all items, the known and the new, in the state's codes."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from caudal.learn.blend import HABIT_WEIGHT, habit, score_with_habit
from caudal.learn.card import Card
from caudal.learn.dataset import HISTORY_LIMIT, Codes, Floats, History
from caudal.learn.models import Model
from caudal.serve.catalogue import Flags
from caudal.serve.explanation import Explanation, explainer
from caudal.serve.histories import Rows
from caudal.serve.state import LiveState

FRESH_SECONDS = 0.5
"""How long the popularity of all items is used before it is computed again."""
FRONT = 2048
"""Items that the model does not know and that are kept in order of popularity."""

Scores = npt.NDArray[np.floating[Any]]


class Live(NamedTuple):
    """Popularity of all items, at one moment."""

    until: float
    popularity: Floats
    term: npt.NDArray[np.float32]
    """What popularity adds to each item's score."""
    known: npt.NDArray[np.float32]
    """The same, of the model's items, in the model's codes."""
    front: Codes
    """Items that the model does not know: the most popular first, at most `FRONT`."""


class Best(NamedTuple):
    """Items, best first."""

    codes: Codes
    scores: Scores


class Ranking:
    """One model's scores. Any number of threads may ask it."""

    def __init__(self, state: LiveState, model: Model | None, card: Card | None) -> None:
        self.state, self.model, self.card = state, model, card
        self._place: Codes = np.empty(0, np.int32) if model is None else state.codes(model.items)
        """State's code of each of the model's items."""
        self._back = np.full(len(state.catalogue), -1, np.int32)
        """Model's code of each of the state's items, -1 for one that it does not know."""
        self._back[self._place] = np.arange(len(self._place), dtype=np.int32)
        self._explain: Callable[[History, Codes, int], list[Explanation]] | None = (
            None if model is None else explainer(model)
        )
        nothing = np.empty(0, np.float32)
        self._live = Live(0.0, np.empty(0), nothing, nothing, np.empty(0, np.int32))

    def live(self) -> Live:
        """Popularity of every item that the catalogue has by now."""
        live, now, items = self._live, time.monotonic(), len(self.state.catalogue)
        if now > live.until or len(live.popularity) < items:
            popularity = self.state.popularity(items)
            term = (np.float32(1.0 if self.model is None else self.model.prior) * np.log1p(popularity)).astype(np.float32)
            known = np.zeros(items, bool)
            known[self._place] = True
            front = best(term, ~known, FRONT).codes
            live = self._live = Live(now + FRESH_SECONDS, popularity, term, term[self._place], front)
        return live

    def history(self, rows: Rows) -> History:
        """A shopper's rows as the model reads them: the items that it knows."""
        codes = self._model_codes(rows.items)
        known = np.flatnonzero(codes >= 0)
        if len(known) > HISTORY_LIMIT:  # a History keeps the latest: leave out before what it would sort for nothing
            known = known[rows.times[known] >= rows.times[known[-HISTORY_LIMIT]]]
        return History(codes[known], rows.times[known], rows.weights[known])

    def _model_codes(self, codes: Codes) -> Codes:
        found = np.full(len(codes), -1, np.int32)
        old = codes < len(self._back)
        found[old] = self._back[codes[old]]
        return found

    def new(self, history: History, live: Live, allowed: Flags, n: int) -> Best:
        """The best by `Model.score` with live popularity; items that the model does not know count by popularity."""
        scores = live.known
        if self.model is not None and len(history):
            scores = scores + self.model.contributions(history, self.state.now)
        known = best(scores, allowed[self._place], n)
        others = self._others(live, allowed, n)
        codes = np.concatenate([self._place[known.codes], others])
        found = np.concatenate([known.scores, live.term[others]])
        order = np.lexsort((codes, -found))[:n]
        return Best(codes[order], found[order])

    def _others(self, live: Live, allowed: Flags, n: int) -> Codes:
        """The most popular items that the model does not know."""
        front = live.front[allowed[live.front]][:n]
        if len(front) == n or len(live.front) < FRONT:
            return front
        left = allowed.copy()
        left[self._place] = False
        return best(live.term, left, n).codes

    def again(self, rows: Rows, live: Live, allowed: Flags, n: int) -> Best:
        """The best by `score_with_habit`; items that the model does not know count by habit alone."""
        scores = np.zeros(len(live.popularity))
        codes, often = habit(History(*rows), self.state.now)
        scores[codes] = HABIT_WEIGHT * np.log1p(often)
        if self.model is not None:
            popularity = live.popularity[self._place]
            scores[self._place] = score_with_habit(self.model, self.history(rows), self.state.now, popularity)
        return best(scores, allowed, n)

    def similar(self, code: int, live: Live, allowed: Flags, n: int) -> Best:
        """The items that go best with one; none if the model cannot tell."""
        known = int(self._model_codes(np.array([code], np.int32))[0])
        if self.model is None or known < 0 or self.model.name == "popular":
            return Best(np.empty(0, np.int32), np.empty(0))
        scores = self.model.similar(known)
        found = best(scores, allowed[self._place] & (scores > 0), n)
        return Best(self._place[found.codes], found.scores)

    def popular(self, live: Live, allowed: Flags, n: int) -> Best:
        """What sells most now."""
        return best(live.term, allowed, n)

    def explain(self, history: History, codes: Codes) -> list[Explanation]:
        """What the history adds to the score of each item: the parts are in the state's codes."""
        if self._explain is None or not len(history):
            return [Explanation((), 0.0) for _ in codes]
        found = self._explain(history, self._model_codes(codes), self.state.now)
        return [Explanation(tuple((int(self._place[c]), value) for c, value in parts), others) for parts, others in found]


def best(scores: Scores, allowed: Flags, n: int) -> Best:
    """The n best places that are allowed, best first, ties by place; fewer if no more are allowed."""
    keys = np.where(allowed, -scores, np.inf)
    n = max(0, n)
    codes = np.argpartition(keys, n)[:n] if n < len(keys) else np.arange(len(keys))
    codes = codes[keys[codes] < np.inf]
    ranked: Codes = codes[np.lexsort((codes, keys[codes]))].astype(np.int32)
    return Best(ranked, scores[ranked])
