"""Every stream keeps the promises of its port."""

from pathlib import Path

from caudal.ingest.stream import BACKENDS
from caudal.testing import StreamSuite


class TestMemoryStream(StreamSuite):
    scheme = "memory"
    processes = False

    def url(self, folder: Path) -> str:
        return f"memory:{folder}"


class TestSqliteStream(StreamSuite):
    scheme = "sqlite"

    def url(self, folder: Path) -> str:
        return f"sqlite:{folder}/store.db"


def test_every_back_end_has_a_suite():
    assert {suite.scheme for suite in StreamSuite.__subclasses__()} == set(BACKENDS)
