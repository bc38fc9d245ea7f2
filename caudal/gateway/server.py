"""Runs the AWS endpoint: an HTTP server on loopback."""

import threading

from caudal.gateway.app import App
from caudal.gateway.cloud import Cloud
from caudal.gateway.http import AwsHttp
from caudal.gateway.s3.proxy import Proxy
from caudal.gateway.signatures import Signatures
from caudal.pipeline import Stages
from caudal.serve.address import address_of
from caudal.serve.server import HttpServer


class Gateway:
    """The AWS services of one pipeline, once started, at `address`."""

    def __init__(self, stages: Stages) -> None:
        config = stages.config.gateway
        host, port, local = address_of(config.url)
        signatures = Signatures.from_file(config.credentials)
        self._server = HttpServer(host, port, "gateway.url", http=AwsHttp, lifespan="on")
        self.address = self._server.address
        self._cloud = Cloud(stages, self.address, signatures.credentials)
        buckets = self._cloud.s3.buckets if not signatures.credentials else None
        self._app = App(self._cloud, Proxy(self._cloud.s3.url, buckets), signatures, local)

    def start(self) -> None:
        """Answer requests from now on. Raises BackendError."""
        self._cloud.start()
        try:
            self._server.start(self._app)
        except BaseException:
            self.close()
            raise

    @property
    def s3_process(self) -> int:
        """Process id of the S3 server; 0 if none was needed yet."""
        return self._cloud.s3.process

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._server.alive

    def close(self) -> None:
        """Stop answering, and everything that the services do by themselves."""
        self._server.stop()
        self._cloud.stop()
        self._server.close()
        self._cloud.close()


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
