"""What every endpoint must do."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caudal.errors import NotFound, UsageError
from caudal.pipeline import Stages
from caudal.serve import Endpoint
from caudal.testing.shop import deliver, eventually, open_small_shop, sale, some_products, some_sales


class EndpointSuite:
    """Subclass as `TestXEndpoint`, return an endpoint over a shop's stages, and every promise is checked."""

    scheme: str

    @abstractmethod
    def fresh(self, stages: Stages) -> Endpoint: ...

    @pytest.fixture
    def stages(self, tmp_path: Path) -> Iterator[Stages]:
        with open_small_shop(tmp_path) as stages:
            stages.store.put_batch("product", some_products())
            stages.store.put_batch("sale", some_sales())
            deliver(stages)
            stages.trainer.train(stages.pipeline.recommenders["for_you"], seed=0, evaluate=False)
            yield stages

    @pytest.fixture
    def endpoint(self, stages: Stages) -> Iterator[Endpoint]:
        endpoint = self.fresh(stages)
        endpoint.start()
        yield endpoint
        endpoint.close()

    @staticmethod
    def items(endpoint: Endpoint, *args: Any, **kwargs: Any) -> list[str]:
        return [found.item for found in endpoint.recommend(*args, **kwargs).items]

    def test_everybody_gets_n_items_with_reasons_and_the_model(self, endpoint: Endpoint) -> None:
        for user in ("c1", "never-seen"):
            answer = endpoint.recommend(user, 3)
            assert (len(answer.items), answer.model) == (3, 1)
            assert all(found.reason.text for found in answer.items)

    def test_what_is_bought_is_gone_from_the_answers(self, stages: Stages, endpoint: Endpoint) -> None:
        first = self.items(endpoint, "c1", 1)[0]
        stages.store.put("sale", sale("c1", first, day=70))
        eventually(lambda: first not in self.items(endpoint, "c1", 16))

    def test_what_is_sold_out_is_gone_from_the_answers(self, stages: Stages, endpoint: Endpoint) -> None:
        first = self.items(endpoint, "c1", 1)[0]
        stages.store.update("product", [first], {"stock": 0})
        eventually(lambda: first not in self.items(endpoint, "c1", 16))
        assert first not in self.items(endpoint, "never-seen", 16)

    def test_a_promoted_version_takes_over(self, stages: Stages, endpoint: Endpoint) -> None:
        stages.trainer.train(stages.pipeline.recommenders["for_you"], seed=1, evaluate=False)
        eventually(lambda: endpoint.recommend("c1").model == 2)

    def test_it_is_ready_when_it_has_started(self, endpoint: Endpoint) -> None:
        health = endpoint.health()
        assert (health.live, health.ready) == (True, True)

    def test_a_question_that_cannot_be_answered_is_refused(self, endpoint: Endpoint) -> None:
        with pytest.raises(UsageError):
            endpoint.recommend("c1", -1)
        with pytest.raises(UsageError):
            endpoint.recommend("c1", slot="old")
        with pytest.raises(NotFound):
            endpoint.recommend("c1", recommender="none")

    def test_closing_twice_is_no_matter(self, stages: Stages) -> None:
        endpoint = self.fresh(stages)
        endpoint.start()
        endpoint.close()
        endpoint.close()

    def test_closing_what_never_started_is_no_matter(self, stages: Stages) -> None:
        self.fresh(stages).close()
