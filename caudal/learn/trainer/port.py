"""What every trainer promises. `caudal.testing.TrainerSuite` checks each promise."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from caudal.lake.catalog import Catalog
from caudal.lake.query import Query
from caudal.learn.card import Card
from caudal.learn.recommender import Recommender
from caudal.learn.registry import ModelRegistry

Progress = Callable[[str], None]
"""Told the name of each step as it begins: read, evaluate, train, save."""


class Trainer(ABC):
    """Turns a recommender's declaration and the lake into a new version of its model.

    It reads its table at one snapshot, which the card names. Same snapshot, seed, declaration and packages: same bytes,
    whenever and wherever it runs; ages count from the newest interaction, not from the clock. What is judged was
    trained on nothing of the test window; what is kept is trained on everything.
    """

    @classmethod
    @abstractmethod
    def open(cls, url: str, query: Query, catalog: Catalog, models: ModelRegistry) -> Self:
        """Open the trainer that `url` names."""

    @abstractmethod
    def train(
        self, recommender: Recommender, *, seed: int, evaluate: bool = True, progress: Progress | None = None
    ) -> Card:
        """Train, judge and keep a new version; returns its card.

        It goes live unless it is clearly worse than the live one: see `ModelRegistry.offer`. Raises DataError, naming
        the recommender, if there are no interactions.
        """
