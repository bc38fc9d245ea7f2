"""All recommenders of a shop, kept live, and how they are."""

import time
from datetime import UTC, datetime

from caudal.background import Background
from caudal.errors import BackendError, NotFound
from caudal.serve.answer import Recommendation
from caudal.serve.follower import Follower
from caudal.serve.health import RecommenderHealth, ShopHealth, TableHealth
from caudal.serve.recommender import LiveRecommender
from caudal.serve.shop import Shop
from caudal.serve.state import LiveState

REFRESH_SECONDS = 1.0
"""How often a newly promoted version is looked for."""
GRACE_SECONDS = 0.1
"""A follower that works applies what is waiting within this time: lag is real if it outlasts it."""


class LiveShop:
    """Follows the streams and the model registry, and answers."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._recommenders = {
            name: LiveRecommender(
                declared, LiveState(declared, shop.transforms, shop.query, shop.catalog, shop.stream), shop.models
            )
            for name, declared in shop.recommenders.items()
        }
        self._refresher = Background("refresh models", self._refresh, every=REFRESH_SECONDS)

    def start(self) -> None:
        """Load the state and the models, then follow both."""
        for found in self._recommenders.values():
            found.state.start()
            found.refresh()
        self._refresher.start()

    def close(self) -> None:
        """Stop following."""
        self._refresher.close()
        for found in self._recommenders.values():
            found.state.close()

    def _refresh(self) -> None:
        for found in self._recommenders.values():
            found.refresh()

    def recommend(self, user: str, n: int, slot: str, item: str | None, recommender: str | None) -> Recommendation:
        """See `LiveRecommender.recommend`; without a name, the recommender declared first. Raises NotFound."""
        name = recommender if recommender is not None else next(iter(self._recommenders), None)
        if name not in self._recommenders:
            told = f"there is {', '.join(self._recommenders)}" if self._recommenders else "declare one in the pipeline"
            raise NotFound(f"no recommender {name or ''}".strip(), hint=told)
        return self._recommenders[name].recommend(user, n, slot, item)

    def health(self) -> ShopHealth:
        """Measured now, from the data. May take as long as the grace that a follower gets."""
        found = {name: self._health(one) for name, one in self._recommenders.items()}
        tables = [table for one in found.values() for table in one.tables.values()]
        live = all(table.live for table in tables) and self._refresher.live
        return ShopHealth(live, live and not any(table.stale for table in tables), found)

    def _health(self, found: LiveRecommender) -> RecommenderHealth:
        tables = {follower.name: self._table(follower) for follower in found.state.followers}
        return RecommenderHealth(found.model, found.problem, found.state.skipped, tables)

    def _table(self, follower: Follower) -> TableHealth:
        try:
            health = follower.health()
            if health.live and health.lag_seconds >= self._shop.stale_seconds:
                time.sleep(GRACE_SECONDS)
                health = follower.health()
        except BackendError as error:
            return TableHealth(follower.live, True, 0, 0.0, None, str(error))
        newest = datetime.fromtimestamp(health.newest / 1e6, UTC) if health.newest else None
        stale = health.lag_seconds >= self._shop.stale_seconds
        return TableHealth(health.live, stale, health.behind, health.lag_seconds, newest, health.problem)
