"""The embedded endpoint: an HTTP API in this process."""

from typing import Self

from caudal.serve.address import address_of
from caudal.serve.answer import Recommendation
from caudal.serve.api import Api
from caudal.serve.health import ShopHealth
from caudal.serve.live import LiveShop
from caudal.serve.port import Endpoint
from caudal.serve.server import HttpServer
from caudal.serve.shop import Shop


class HttpEndpoint(Endpoint):
    """Listens on loopback and answers to its names, unless its URL ends in `?public=yes`: whoever reaches it may then ask."""

    def __init__(self, host: str, port: int, local: bool, shop: Shop) -> None:
        self._host, self._port = host, port
        self._live = LiveShop(shop)
        self._api = Api(shop, self._live, local)
        self._server: HttpServer | None = None

    @classmethod
    def open(cls, url: str, shop: Shop) -> Self:
        return cls(*address_of(url), shop)

    def start(self) -> None:
        self._server = HttpServer(self._api.app, self._host, self._port, "endpoint.url")
        self._live.start()
        try:
            self._server.start()
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        assert self._server is not None
        return self._server.address

    def recommend(
        self, user: str, n: int = 10, slot: str = "new", item: str | None = None, recommender: str | None = None
    ) -> Recommendation:
        return self._live.recommend(user, n, slot, item, recommender)

    def health(self) -> ShopHealth:
        return self._live.health()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._api.close()
        self._live.close()
