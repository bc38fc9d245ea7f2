"""Athena with a database, for the tests of Iceberg tables."""

import pytest

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.test_athena import Sql


@pytest.fixture(scope="module")
def sql(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("athena")) as aws:
        client = Sql(aws)
        client.run("CREATE DATABASE db")
        yield client
