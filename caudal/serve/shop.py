"""What an endpoint serves."""

from collections.abc import Mapping
from dataclasses import dataclass

from caudal.contract import Contract
from caudal.ingest.store import Store
from caudal.ingest.stream import Stream
from caudal.ingest.transform import Transform
from caudal.lake.catalog import Catalog
from caudal.lake.query import Query
from caudal.learn.recommender import Recommender
from caudal.learn.registry import ModelRegistry


@dataclass(frozen=True)
class Shop:
    """A shop's tables and recommenders, and the opened stages behind them; whoever opened these closes them."""

    contracts: Mapping[str, Contract]
    """Table of the shop to its contract."""
    transforms: Mapping[str, Transform]
    """Table of the lake to what makes its rows of records: the live state reads with the writer's own."""
    recommenders: Mapping[str, Recommender]
    store: Store
    stream: Stream
    catalog: Catalog
    query: Query
    models: ModelRegistry
    stale_seconds: float = 60.0
    """Lag from which a table is stale."""
