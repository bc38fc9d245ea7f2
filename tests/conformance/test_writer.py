"""Every writer keeps the promises of its port."""

from caudal.ingest.writer import BACKENDS
from caudal.testing import WriterSuite


class TestInprocessWriter(WriterSuite):
    scheme = "inprocess"

    def url(self) -> str:
        return "inprocess:"


def test_every_back_end_has_a_suite():
    assert {suite.scheme for suite in WriterSuite.__subclasses__()} == set(BACKENDS)
