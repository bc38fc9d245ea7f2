"""What every endpoint promises. `caudal.testing.EndpointSuite` checks each promise."""

from abc import ABC, abstractmethod
from typing import Self

from caudal.serve.answer import Recommendation
from caudal.serve.health import ShopHealth
from caudal.serve.shop import Shop


class Endpoint(ABC):
    """Answers with n valid items, now, each with its reason.

    An item that is sold out, gone, or bought (unless it may be bought again) is never in an answer, from milliseconds
    after the write that made it so. There are n items if n qualify, for every user, known or not. A newly promoted
    version takes over within seconds, and no request fails for it. Health is measured from the data: it is not ready
    when what it answers from lags behind the source, whatever its threads say.
    """

    @classmethod
    @abstractmethod
    def open(cls, url: str, shop: Shop) -> Self:
        """Make the endpoint that `url` names. Raises ConfigError for an address that it may not have."""

    @abstractmethod
    def start(self) -> None:
        """Load the state, then listen; returns once it answers. Raises ConfigError if the address is taken."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it answers, as a URL."""

    @abstractmethod
    def recommend(
        self, user: str, n: int = 10, slot: str = "new", item: str | None = None, recommender: str | None = None
    ) -> Recommendation:
        """The answer that a request would get: see `LiveRecommender.recommend`."""

    @abstractmethod
    def health(self) -> ShopHealth:
        """How it is, measured now."""

    @abstractmethod
    def close(self) -> None:
        """Finish the requests that run, and stop."""
