"""The embedded endpoint: an HTTP API in this process."""

import socket
import threading
import time
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from caudal.errors import BackendError, ConfigError
from caudal.serve.address import address_of
from caudal.serve.answer import Recommendation
from caudal.serve.api import Api
from caudal.serve.health import ShopHealth
from caudal.serve.live import LiveShop
from caudal.serve.port import Endpoint
from caudal.serve.shop import Shop

START_SECONDS = 30
STOP_SECONDS = 3


class _Quiet(HttpToolsProtocol):
    """Logs no request, however logging is set up: a path may name a person."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False


class HttpEndpoint(Endpoint):
    """Listens on loopback and answers to its names, unless its URL ends in `?public=yes`: whoever reaches it may then ask."""

    def __init__(self, host: str, port: int, local: bool, shop: Shop) -> None:
        self._host, self._port = host, port
        self._live = LiveShop(shop)
        self._api = Api(shop, self._live, local)
        config = uvicorn.Config(
            self._api.app, http=_Quiet, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=STOP_SECONDS, backlog=2048,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._socket: socket.socket | None = None

    @classmethod
    def open(cls, url: str, shop: Shop) -> Self:
        return cls(*address_of(url), shop)

    def start(self) -> None:
        self._socket = _listen(self._host, self._port)
        self._port = self._socket.getsockname()[1]
        self._live.start()
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.close()
                raise BackendError(f"{self.address}: the HTTP server did not start")
            time.sleep(0.002)

    def _serve(self) -> None:
        assert self._socket is not None
        self._server.run([self._socket])

    @property
    def address(self) -> str:
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    def recommend(
        self, user: str, n: int = 10, slot: str = "new", item: str | None = None, recommender: str | None = None
    ) -> Recommendation:
        return self._live.recommend(user, n, slot, item, recommender)

    def health(self) -> ShopHealth:
        return self._live.health()

    def close(self) -> None:
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()
        self._api.close()
        self._live.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        told = f"http://{host}:{port}: {error.strerror}"
        raise ConfigError(told, hint="choose another port in endpoint.url") from error
