"""Every endpoint keeps the port's promises."""

from caudal.serve import BACKENDS, open_endpoint
from caudal.testing.endpoint import EndpointSuite
from caudal.testing.shop import shop_of


class TestHttpEndpoint(EndpointSuite):
    scheme = "http"

    def fresh(self, stages):
        return open_endpoint("http://127.0.0.1:0", shop_of(stages))


def test_every_backend_has_a_suite():
    assert {suite.scheme for suite in EndpointSuite.__subclasses__()} == set(BACKENDS)
