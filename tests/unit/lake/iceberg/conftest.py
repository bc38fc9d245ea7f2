"""The shop that these tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from iceberg_shop import Reader, make_pipeline

from caudal.config import Config, IcebergConfig
from caudal.lake.iceberg import open_publisher


@pytest.fixture
def config(tmp_path):
    return Config(folder=str(tmp_path / "data"), iceberg=IcebergConfig(keep_snapshots=3))


@pytest.fixture
def stages(config):
    with make_pipeline().open(config) as stages:
        yield stages


@pytest.fixture
def publisher(stages):
    publisher = open_publisher(stages.config, "shop", stages.catalog, stages.files)
    yield publisher
    publisher.close()


@pytest.fixture
def reader(config, publisher):
    reader = Reader(config)
    yield reader
    reader.catalog.close()
