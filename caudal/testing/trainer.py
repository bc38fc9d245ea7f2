"""What every trainer must do."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from caudal.errors import DataError
from caudal.learn.recommender import Recommender
from caudal.learn.trainer import Trainer
from caudal.pipeline import Stages
from caudal.testing.shop import deliver, open_small_shop, sale, some_products, some_sales


class TrainerSuite:
    """Subclass as `TestXTrainer`, return a trainer over a shop's stages, and every promise is checked."""

    scheme: str

    @abstractmethod
    def fresh(self, stages: Stages) -> Trainer: ...

    @pytest.fixture
    def stages(self, tmp_path: Path) -> Iterator[Stages]:
        with open_small_shop(tmp_path) as stages:
            stages.store.put_batch("product", some_products())
            stages.store.put_batch("sale", some_sales())
            yield stages

    @pytest.fixture
    def trainer(self, stages: Stages) -> Trainer:
        deliver(stages)
        return self.fresh(stages)

    @pytest.fixture
    def declared(self, stages: Stages) -> Recommender:
        return stages.pipeline.recommenders["for_you"]

    def test_t08_two_trainings_on_one_snapshot_give_the_same_bytes(
        self, stages: Stages, trainer: Trainer, declared: Recommender
    ) -> None:
        first, second = (trainer.train(declared, seed=7) for _ in range(2))
        assert first.checksum == second.checksum and first.version != second.version
        assert first.snapshot == second.snapshot == {"sale": 1}
        assert (first.seed, first.threads) == (7, 1)
        assert {"numpy", "scipy", "pyarrow", "duckdb", "python"} <= first.packages.keys()

    def test_a_model_names_its_snapshot_and_that_its_positions(
        self, stages: Stages, trainer: Trainer, declared: Recommender
    ) -> None:
        card = trainer.train(declared, seed=0)
        snapshot = stages.catalog.snapshot("sale", card.snapshot["sale"])
        assert card.positions == {"sale": snapshot.positions}
        assert sum(snapshot.positions.values()) == card.interactions == 360

    def test_ages_count_from_the_newest_interaction_not_from_the_clock(
        self, stages: Stages, trainer: Trainer, declared: Recommender
    ) -> None:
        newest = max(item["sold_at"] for item in some_sales())
        assert trainer.train(declared, seed=0).now == int(newest.timestamp() * 1_000_000)

    def test_the_new_version_can_be_loaded_and_is_live(
        self, stages: Stages, trainer: Trainer, declared: Recommender
    ) -> None:
        card = trainer.train(declared, seed=0)
        model, loaded = stages.models.load("for_you")
        assert loaded == card
        assert len(model.items) == card.items == 16

    def test_it_is_judged_on_what_came_after_the_cut_beside_popularity(
        self, stages: Stages, trainer: Trainer, declared: Recommender
    ) -> None:
        found = trainer.train(declared, seed=0).evaluation
        assert found["users"] > 0
        assert found["metrics"].keys() == found["popularity"].keys() >= {"ndcg@10", "recall@20", "coverage@10"}

    def test_judging_can_be_left_out(self, stages: Stages, trainer: Trainer, declared: Recommender) -> None:
        assert trainer.train(declared, seed=0, evaluate=False).metrics == {}

    def test_what_came_after_the_snapshot_changes_the_next_model_only(
        self, stages: Stages, trainer: Trainer, declared: Recommender
    ) -> None:
        first = trainer.train(declared, seed=0)
        stages.store.put("sale", sale("c1", "a0", day=70))
        deliver(stages, ["sale"])
        second = trainer.train(declared, seed=0)
        assert second.snapshot == {"sale": 2} and second.interactions == first.interactions + 1
        assert second.checksum != first.checksum

    def test_what_was_deleted_is_not_learned(self, stages: Stages, trainer: Trainer, declared: Recommender) -> None:
        gone = some_sales()[0]
        stages.store.delete("sale", [gone["order_id"], gone["line"]])
        deliver(stages, ["sale"])
        assert trainer.train(declared, seed=0).interactions == 359

    def test_rows_that_say_nothing_are_left_out_as_serving_leaves_them_out(
        self, stages: Stages, trainer: Trainer, declared: Recommender
    ) -> None:
        first = trainer.train(declared, seed=0)
        stages.store.put_batch("sale", [sale("c1", "a0", day=365 * 200), sale("c1", "nothing"), sale("c1", "odd", line=5)])
        deliver(stages, ["sale"])
        told = declared.interactions.replace("product_id AS item", "nullif(product_id, 'nothing') AS item").replace(
            "quantity AS weight", "CASE WHEN product_id = 'odd' THEN sqrt(-1) ELSE quantity END AS weight"
        )
        second = trainer.train(replace(declared, interactions=told), seed=0)
        assert (second.interactions, second.left_out) == (360, 3)
        assert second.now == first.now and second.checksum == first.checksum
        assert second.metrics == first.metrics != {}

    def test_o02_nothing_to_learn_from_is_an_error_that_names_the_recommender(
        self, tmp_path_factory: pytest.TempPathFactory, declared: Recommender
    ) -> None:
        with open_small_shop(tmp_path_factory.mktemp("empty")) as empty:
            with pytest.raises(DataError, match=r"for_you.*empty"):
                self.fresh(empty).train(declared, seed=0)
            empty.store.put("sale", sale("c1", "a0", quantity=0))  # delivered, but the query leaves it out
            deliver(empty, ["sale"])
            with pytest.raises(DataError, match=r"for_you.*empty"):
                self.fresh(empty).train(declared, seed=0)
            assert empty.models.versions("for_you") == []

    def test_it_tells_its_steps(self, stages: Stages, trainer: Trainer, declared: Recommender) -> None:
        steps: list[str] = []
        trainer.train(declared, seed=0, progress=steps.append)
        assert steps == ["read", "evaluate", "train", "save"]

    def test_the_card_is_plain_json(self, stages: Stages, trainer: Trainer, declared: Recommender) -> None:
        card = trainer.train(declared, seed=0)
        assert msgspec.json.decode(msgspec.json.encode(card), type=type(card)).checksum == card.checksum


