"""What every model promises: the items it knows, one finite score each, and where the score comes from."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caudal.errors import ContractError
from caudal.learn.dataset import History, Interactions

Scores = npt.NDArray[np.float32]


class Model(ABC):
    """Ranks `items` for a shopper.

    The map from code to item id is part of the model, so the two cannot drift apart. A model holds nothing about users:
    a shopper's history comes with each question, so nobody has to be erased from it.

    - Same interactions, `now_us`, seed and options: same bytes, whatever the order of the rows; training takes one
      thread.
    - Scores are finite. An empty history gets the ranking of popularity.
    - Contributions of the history plus the popularity term are the score: they are how it was computed.
    - Nothing is filtered: what may not be shown (bought, out of stock) is the caller's business, by item code.
    """

    name: ClassVar[str]

    def __init__(self, items: pa.StringArray, popularity: npt.NDArray[np.floating[Any]], prior: float) -> None:
        self.items = items
        """Item id of each code."""
        self.popularity = np.asarray(popularity, np.float32)
        """Popularity at training, decayed by 7 days' half-life: shape (items,)."""
        self.prior = float(prior)
        """Weight of log(1 + popularity) in the score."""
        self._log_popularity = self.log_popularity(self.popularity)

    @classmethod
    @abstractmethod
    def fit(cls, interactions: Interactions, *, now_us: int, seed: int, **options: Any) -> Self:
        """Train on what happened up to `now_us` (microseconds since 1970, UTC).

        Raises DataError if there is nothing to learn from, ContractError for an option that the model does not have.
        """

    @abstractmethod
    def contributions(self, history: History, now_us: int) -> Scores:
        """What the history adds to each item's score, without popularity: shape (items,)."""

    @abstractmethod
    def explain(self, history: History, item_code: int, now_us: int) -> list[tuple[int, float]]:
        """(history item code, its contribution), largest first; with `popularity_term` they sum to the item's score."""

    @abstractmethod
    def similar(self, item_code: int) -> Scores:
        """How well each item goes with this one: shape (items,); the item itself gets the lowest score."""

    @abstractmethod
    def save(self) -> bytes:
        """The model as bytes (`caudal.learn.models.artifact`), the same for the same model."""

    @classmethod
    @abstractmethod
    def load(cls, data: bytes) -> Self:
        """The model that `save` wrote. Raises DataError if the bytes are damaged or of another kind of model."""

    def score(
        self, history: History, now_us: int, popularity: npt.NDArray[np.floating[Any]] | None = None
    ) -> Scores:
        """One score an item, float32, shape (items,): higher is better.

        `popularity` is the live one of each item, as `Interactions.popularity` defines it; without it, the one at
        training. Raises ContractError if it has another shape or the history an item code that is not the model's.
        """
        scores: Scores = self.contributions(history, now_us) + self.popularity_term(popularity)
        return scores

    def popularity_term(self, popularity: npt.NDArray[np.floating[Any]] | None = None) -> Scores:
        """What popularity adds to each item's score: shape (items,)."""
        term: Scores = np.float32(self.prior) * self.log_popularity(popularity)
        return term

    def log_popularity(self, popularity: npt.NDArray[np.floating[Any]] | None = None) -> Scores:
        """log(1 + popularity) of each item, what is not a number or below 0 as 0: shape (items,)."""
        if popularity is None:
            return self._log_popularity
        live = np.asarray(popularity, np.float32)
        if live.shape != (len(self.items),):
            raise ContractError(f"popularity has shape {live.shape}, the model has {len(self.items)} items")
        logs: Scores = np.log1p(np.nan_to_num(np.maximum(live, 0)))
        return logs

    def check(self, codes: npt.NDArray[np.integer[Any]]) -> None:
        """Raise ContractError unless each code is one of the model's."""
        if len(codes) and (codes.min() < 0 or codes.max() >= len(self.items)):
            raise ContractError(
                f"an item code is outside 0..{len(self.items) - 1}",
                hint="item codes are places in this model's `items`; leave out what it does not know",
            )
