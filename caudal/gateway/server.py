"""Runs the AWS endpoint: an HTTP server on loopback."""

import logging
import os
import socket
import threading
import time

import uvicorn

from caudal.errors import BackendError, ConfigError
from caudal.gateway.app import App
from caudal.gateway.cloud import Cloud
from caudal.gateway.http2 import EitherProtocol
from caudal.gateway.s3.proxy import Proxy
from caudal.gateway.signatures import Signatures
from caudal.pipeline import Stages
from caudal.serve.address import address_of

STOP_SECONDS = 3
START_SECONDS = 30


class Gateway:
    """The AWS services of one pipeline, once started, at `address`."""

    def __init__(self, stages: Stages) -> None:
        config = stages.config.gateway
        host, port, local = address_of(config.url)
        signatures = Signatures.from_file(config.credentials)
        self._socket = _listen(host, port)
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        self._cloud = Cloud(stages, self.address, signatures.credentials)
        self._app = App(self._cloud, Proxy(self._cloud.s3.url, anyone=not signatures.credentials), signatures, local)
        self._server = uvicorn.Server(uvicorn.Config(
            self._app, http=EitherProtocol, ws="none", lifespan="on", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=STOP_SECONDS, backlog=2048,
        ))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="aws", daemon=True)

    def start(self) -> None:
        """Answer requests from now on. Raises BackendError."""
        logging.getLogger("uvicorn.access").disabled = True  # a path may name a person
        self._cloud.start()
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.close()
                raise BackendError(f"{self.address}: the HTTP server did not start")
            time.sleep(0.002)

    @property
    def s3_process(self) -> int:
        """Process id of the S3 server; 0 if none was needed yet."""
        return self._cloud.s3.process

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop answering, and everything that the services do by themselves."""
        self._server.should_exit = True
        self._cloud.stop()
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()
        self._cloud.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    except OSError as error:
        hint = "is it up already? Or choose another port in gateway.url"
        raise ConfigError(f"http://{host}:{port}: {os.strerror(error.errno or 0)}", hint=hint) from None


def run_gateway(stages: Stages, stop: threading.Event) -> None:
    """Serve AWS's APIs until stopped."""
    gateway = Gateway(stages)
    gateway.start()
    try:
        while not stop.wait(1.0):
            if not gateway.alive:
                raise SystemExit("the AWS endpoint's HTTP server ended")
    finally:
        gateway.close()
