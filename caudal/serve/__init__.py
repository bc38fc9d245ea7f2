"""state → recommender → endpoint: live answers that follow the stream."""

from caudal.registry import open_backend
from caudal.serve.answer import Recommendation
from caudal.serve.health import RecommenderHealth, ShopHealth, TableHealth
from caudal.serve.port import Endpoint
from caudal.serve.shop import Shop

__all__ = [
    "BACKENDS", "Endpoint", "Recommendation", "RecommenderHealth", "Shop", "ShopHealth", "TableHealth", "open_endpoint",
]

BACKENDS = {"http": "caudal.serve.http:HttpEndpoint"}


def open_endpoint(url: str, shop: Shop) -> Endpoint:
    """Open the endpoint that `url` names, over one shop. It answers once it is started."""
    return open_backend(Endpoint, BACKENDS, url, shop)  # type: ignore[type-abstract]
