"""Every transform keeps the promises of its port."""

from caudal.ingest.transform import BACKENDS
from caudal.testing import TransformSuite


class TestInprocessTransform(TransformSuite):
    scheme = "inprocess"

    def url(self) -> str:
        return "inprocess:"


class TestProcessTransform(TransformSuite):
    scheme = "process"

    def url(self) -> str:
        return "process:"


def test_every_back_end_has_a_suite():
    assert {suite.scheme for suite in TransformSuite.__subclasses__()} == set(BACKENDS)
