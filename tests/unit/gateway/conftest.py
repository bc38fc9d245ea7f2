"""A real AWS endpoint over a pipeline without tables, and real boto3 clients of it."""

from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config as ClientConfig

from caudal.config import Config, GatewayConfig
from caudal.gateway.server import Gateway
from caudal.pipeline import Pipeline

ONCE = ClientConfig(retries={"total_max_attempts": 1}, read_timeout=30)


class Aws:
    """An endpoint that runs, and clients of its services."""

    def __init__(self, gateway, stages):
        self.gateway = gateway
        self.address = gateway.address
        self.stages = stages

    def client(self, service, key="test", secret="test", **more):
        """A boto3 client that tries once, so that a test sees the first answer."""
        return boto3.client(
            service, endpoint_url=self.address, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret,
            **{"config": ONCE, **more},
        )


@contextmanager
def endpoint(folder, pipeline=None, **settings):
    """An endpoint whose state lies in `folder`: opened again there, it knows what it knew."""
    config = Config(folder=str(folder), gateway=GatewayConfig(**{"url": "http://127.0.0.1:0", **settings}))
    with (pipeline or Pipeline("shop")).open(config) as stages:
        gateway = Gateway(stages)
        gateway.start()
        try:
            yield Aws(gateway, stages)
        finally:
            gateway.close()


@pytest.fixture
def aws(tmp_path):
    with endpoint(tmp_path) as opened:
        yield opened
