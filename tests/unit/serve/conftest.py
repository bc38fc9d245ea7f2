"""A small shop, and its live recommender, that tests write to and ask."""

import shutil

import pytest

from caudal.serve.recommender import LiveRecommender
from caudal.serve.state import LiveState
from caudal.testing.shop import deliver, eventually, open_small_shop, shop_of, some_products, some_sales


class LiveTest:
    """The shop and its recommender."""

    def __init__(self, stages):
        self.stages, self.store, self.models = stages, stages.store, stages.models
        shop = shop_of(stages)
        self.declared = shop.recommenders["for_you"]
        self.state = LiveState(self.declared, shop.transforms, shop.query, shop.catalog, shop.stream)
        self.recommender = LiveRecommender(self.declared, self.state, shop.models)
        self.state.start()
        self.recommender.refresh()

    def catch_up(self):
        """Wait until everything written is applied."""
        eventually(lambda: all(f.health().behind == 0 for f in self.state.followers))

    def ask(self, user, n=10, slot="new", item=None):
        """The answer, once everything written is applied."""
        self.catch_up()
        return self.recommender.recommend(user, n, slot, item)

    def items(self, *args, **kwargs):
        """The items of the answer."""
        return [found.item for found in self.ask(*args, **kwargs).items]


@pytest.fixture
def stages(tmp_path):
    with open_small_shop(tmp_path) as stages:
        yield stages


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory):
    """The state of a shop with 16 products, 360 sales of 30 customers, and a model of them."""
    folder = tmp_path_factory.mktemp("trained")
    with open_small_shop(folder) as stages:
        stages.store.put_batch("product", some_products())
        stages.store.put_batch("sale", some_sales())
        deliver(stages)
        stages.trainer.train(stages.pipeline.recommenders["for_you"], seed=0, evaluate=False)
    return folder


@pytest.fixture
def trained_stages(trained_folder, tmp_path):
    shutil.copytree(trained_folder, tmp_path, dirs_exist_ok=True)
    with open_small_shop(tmp_path) as stages:
        yield stages


@pytest.fixture(scope="module")
def untouched_stages(trained_folder, tmp_path_factory):
    """That shop for all tests of a file that change nothing."""
    folder = tmp_path_factory.mktemp("untouched")
    shutil.copytree(trained_folder, folder, dirs_exist_ok=True)
    with open_small_shop(folder) as stages:
        yield stages


@pytest.fixture
def trained(trained_stages):
    """The live recommender of that shop."""
    live = LiveTest(trained_stages)
    yield live
    live.state.close()


@pytest.fixture
def start(stages):
    """Starts the live recommender from what the lake and the registry hold by then."""
    started = []

    def start():
        started.append(LiveTest(stages))
        return started[-1]

    yield start
    for live in started:
        live.state.close()
