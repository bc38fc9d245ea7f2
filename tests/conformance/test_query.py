"""Every query engine keeps the promises of its port."""

from caudal.config import QueryConfig
from caudal.lake.query import BACKENDS, open_query
from caudal.testing import QuerySuite


class TestDuckdbQuery(QuerySuite):
    scheme = "duckdb"

    def fresh(self, catalog, files):
        return open_query("duckdb:", catalog, files, QueryConfig(memory_mb=512, threads=2))


def test_every_back_end_has_a_suite():
    assert {suite.scheme for suite in QuerySuite.__subclasses__()} == set(BACKENDS)
