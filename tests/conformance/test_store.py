"""Every store keeps the promises of its port."""

from pathlib import Path

from caudal.ingest.store import BACKENDS
from caudal.testing import StoreSuite


class TestMemoryStore(StoreSuite):
    scheme = "memory"
    processes = False

    def url(self, folder: Path) -> str:
        return f"memory:{folder}"


class TestSqliteStore(StoreSuite):
    scheme = "sqlite"

    def url(self, folder: Path) -> str:
        return f"sqlite:{folder}/store.db"


def test_every_back_end_has_a_suite():
    assert {suite.scheme for suite in StoreSuite.__subclasses__()} == set(BACKENDS)
