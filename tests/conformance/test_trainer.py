"""Every trainer keeps the port's promises."""

from caudal.learn.trainer import BACKENDS, open_trainer
from caudal.testing.trainer import TrainerSuite


class TestInprocessTrainer(TrainerSuite):
    scheme = "inprocess"

    def fresh(self, stages):
        return open_trainer("inprocess:", stages.query, stages.catalog, stages.models)


def test_every_backend_has_a_suite():
    assert {suite.scheme for suite in TrainerSuite.__subclasses__()} == set(BACKENDS)
