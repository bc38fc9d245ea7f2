"""Answers: the best items for a shopper that may be shown, each with its reason."""

import threading
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from caudal.errors import CaudalError, NotFound, UsageError
from caudal.learn.recommender import Recommender
from caudal.learn.registry import ModelRegistry
from caudal.serve.answer import SLOTS, Because, Reason, Recommendation, Recommended
from caudal.serve.explanation import Explanation
from caudal.serve.histories import Shopper
from caudal.serve.ranking import Best, Ranking
from caudal.serve.state import LiveState

LARGEST = 1000
"""Most items of one answer."""


class LiveRecommender:
    """Answers from the live model and the live state. Any number of threads may ask it."""

    def __init__(self, recommender: Recommender, state: LiveState, models: ModelRegistry) -> None:
        self.name = recommender.name
        self.state = state
        self.problem = ""
        """Why the live version is not the one that answers; "" if it is."""
        self._models = models
        self._ranking = Ranking(state, None, None)
        self._refreshing = threading.Lock()

    @property
    def model(self) -> int | None:
        """The version that answers; None if there is no model yet."""
        card = self._ranking.card
        return None if card is None else card.version

    def refresh(self) -> None:
        """Take over the live version if it is another one. If it cannot be read, the old one goes on answering."""
        with self._refreshing:
            try:
                live = self._models.live(self.name)
                if live is not None and live != self.model:
                    self._ranking = Ranking(self.state, *self._models.load(self.name, live))
                self.problem = ""
            except CaudalError as error:
                self.problem = str(error)

    def recommend(self, user: str, n: int = 10, slot: str = "new", item: str | None = None) -> Recommendation:
        """At most `n` items, the best first; fewer only if no more qualify.

        new: available, and never bought. again: bought, repeatable and available. similar: available, goes with
        `item`, or with what the shopper bought last; not what was bought and is not repeatable. Where the model has
        nothing to say, what sells now fills up.

        Raises UsageError for an unknown slot or an impossible n, NotFound for an unknown item.
        """
        if slot not in SLOTS:
            raise UsageError(f"there is no slot {slot!r}", hint=f"use {', '.join(SLOTS)}")
        if not 0 <= n <= LARGEST:
            raise UsageError(f"n is {n}", hint=f"use 0 to {LARGEST}")
        question = _Question(self._ranking, self.state.histories.of(user), item)
        answer = {"new": question.new, "again": question.again, "similar": question.similar}[slot]
        return Recommendation(user, slot, self.name, self.model, answer(n))


class _Question:
    """One request, against one state of things."""

    def __init__(self, ranking: Ranking, shopper: Shopper, item: str | None) -> None:
        self.ranking, self.item = ranking, item
        self.catalogue = ranking.state.catalogue
        self.live = ranking.live()
        self.size = len(self.live.popularity)
        self.rows, self.bought = shopper
        if self.rows.items.max(initial=0) >= self.size:  # an item that came in this very moment
            self.rows, self.bought = self.rows.at(self.rows.items < self.size), self.bought[self.bought < self.size]
        self.allowed = self.catalogue.available(self.size).copy()

    def new(self, n: int) -> list[Recommended]:
        self.allowed[self.bought] = False
        history = self.ranking.history(self.rows)
        found = self.ranking.new(history, self.live, self.allowed, n)
        why = self.ranking.explain(history, found.codes)
        return [
            self._made(code, score, self._because(code, one))
            for code, score, one in zip(*_plain(found), why, strict=True)
        ]

    def again(self, n: int) -> list[Recommended]:
        allowed = np.zeros(self.size, bool)
        allowed[self.bought] = (self.allowed & self.catalogue.repeatable(self.size))[self.bought]
        found = self.ranking.again(self.rows, self.live, allowed, n)
        return [self._made(code, score, self._bought(code)) for code, score in zip(*_plain(found), strict=True)]

    def similar(self, n: int) -> list[Recommended]:
        code = self._asked()
        if code is None:
            return self.new(n)
        self.allowed[self.bought] &= self.catalogue.repeatable(self.size)[self.bought]
        self.allowed[code] = False
        near = self.ranking.similar(code, self.live, self.allowed, n)
        reason = Reason("similar", f"goes with {self._title(code)}")
        self.allowed[near.codes] = False
        rest = self.ranking.popular(self.live, self.allowed, n - len(near.codes))
        return [self._made(code, score, reason) for code, score in zip(*_plain(near), strict=True)] + [
            self._made(code, score, self._popular(code)) for code, score in zip(*_plain(rest), strict=True)
        ]

    def _asked(self) -> int | None:
        """The item to be similar to; None if none was named and the shopper has none."""
        if self.item is not None:
            code = self.catalogue.find(self.item)
            if code is None or code >= self.size:
                raise NotFound(f"no item {self.item}", hint="name an item of the catalogue, or leave it out")
            return code
        mine = np.isin(self.rows.items, self.bought)
        return int(self.rows.items[mine][self.rows.times[mine].argmax()]) if mine.any() else None

    def _because(self, code: int, why: Explanation) -> Reason:
        if not why.parts:
            return self._popular(code)
        told = tuple(Because(self.catalogue.names[item], value) for item, value in why.parts)
        text = f"because of {', '.join(self._title(item) for item, _ in why.parts[:2])}"
        return Reason("because", text, told, why.others, float(self.live.term[code]))

    def _popular(self, code: int) -> Reason:
        kind: Literal["popular", "cold_start"] = "popular" if len(self.bought) else "cold_start"
        return Reason(kind, "popular now", popularity=float(self.live.term[code]))

    def _bought(self, code: int) -> Reason:
        mine = (self.rows.items == code) & (self.rows.weights > 0)
        last = datetime.fromtimestamp(int(self.rows.times[mine].max()) / 1e6, UTC).date()
        times = int(mine.sum())
        return Reason("again", f"bought {'once' if times == 1 else f'{times} times, last'} on {last}")

    def _title(self, code: int) -> str:
        return self.catalogue.titles[code] or self.catalogue.names[code]

    def _made(self, code: int, score: float, reason: Reason) -> Recommended:
        return Recommended(self.catalogue.names[code], score, reason, self.catalogue.titles[code])


def _plain(found: Best) -> tuple[list[int], list[float]]:
    return found.codes.tolist(), found.scores.tolist()
