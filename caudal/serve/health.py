"""How an endpoint is, measured from the data."""

from datetime import datetime

import msgspec


class TableHealth(msgspec.Struct, frozen=True):
    """How far the state is behind a table, by the data."""

    live: bool
    stale: bool
    behind: int
    """Changes at the source that are not applied."""
    lag_seconds: float
    """From the newest change applied to the newest at the source; 0 when nothing is behind."""
    newest: datetime | None
    """When the newest change applied happened."""
    problem: str


class RecommenderHealth(msgspec.Struct, frozen=True):
    """How one recommender is."""

    model: int | None
    """The version that answers."""
    problem: str
    """Why the live version does not, if so."""
    skipped: int
    """Changes on which its queries failed."""
    tables: dict[str, TableHealth]


class ShopHealth(msgspec.Struct, frozen=True):
    """Whether answers can be trusted."""

    live: bool
    """Everything that should run does."""
    ready: bool
    """And nothing is stale."""
    recommenders: dict[str, RecommenderHealth]
