"""An ASGI application on a port of this machine, in a thread of its own."""

import socket
import threading
import time
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from caudal.errors import BackendError, ConfigError

START_SECONDS = 30
STOP_SECONDS = 3
IDLE_SECONDS = 60
"""How long a connection stays that asks for nothing: a client that asks just when it is closed gets no answer, so not soon."""
BACKLOG = 2048


class Quiet(HttpToolsProtocol):
    """Logs no request, however logging is set up: a path may name a person."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False


class HttpServer:
    """Listens from its making on, and answers from `start` until `close`."""

    def __init__(self, host: str, port: int, setting: str, *, http: type[Quiet] = Quiet, lifespan: str = "off") -> None:
        """`setting` is what the hint names where the port is taken. Raises ConfigError."""
        self._socket = _listen(host, port, setting)
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        """Its URL; the port is the one it got where 0 was asked for."""
        self._config: dict[str, Any] = {"http": http, "lifespan": lifespan}
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self, app: Any) -> None:
        """Answer requests by an ASGI application from now on. Raises BackendError."""
        self._server = uvicorn.Server(uvicorn.Config(
            app, **self._config, ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=STOP_SECONDS, timeout_keep_alive=IDLE_SECONDS, backlog=BACKLOG,
        ))
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.close()
                raise BackendError(f"{self.address}: the HTTP server did not start")
            time.sleep(0.002)

    def _serve(self) -> None:
        assert self._server is not None
        self._server.run([self._socket])

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Take no further requests."""
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        """Finish those that are asked, and give the port up."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()


def _listen(host: str, port: int, setting: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        hint = f"is it up already? Or choose another port in {setting}"
        raise ConfigError(f"http://{host}:{port}: {error.strerror}", hint=hint) from error
