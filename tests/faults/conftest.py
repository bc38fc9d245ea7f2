"""Lets the fault tests import what their processes run, and start the AWS endpoint."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def start(tmp_path):
    """Starts the AWS endpoint over the test's folder, again and again; what runs at the end is killed."""
    from served import Endpoint

    running = []

    def begin():
        running.append(Endpoint(tmp_path))
        return running[-1]

    yield begin
    for endpoint in running:
        if endpoint.process.poll() is None:
            endpoint.kill()
