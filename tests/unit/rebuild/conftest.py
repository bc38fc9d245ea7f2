"""The shop that these tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from caudal.config import Config, MaintainConfig, StreamConfig
from caudal.rebuild import open_for_rebuild


@pytest.fixture
def config(tmp_path):
    return Config(folder=str(tmp_path), stream=StreamConfig(shards=2, retention_hours=0),
                  maintain=MaintainConfig(keep_hours=0, keep_versions=1, orphan_hours=0))


class Opened:
    def __init__(self, config):
        self.config, self.stages = config, None

    def __call__(self, pipeline, rebuilding=""):
        """Today's pipeline file instead of the one before."""
        self.close()
        self.stages = pipeline.open(self.config)
        if rebuilding:
            open_for_rebuild(self.stages, rebuilding)
        return self.stages

    def close(self):
        if self.stages is not None:
            self.stages.close()


@pytest.fixture
def opened(config):
    opened = Opened(config)
    yield opened
    opened.close()
