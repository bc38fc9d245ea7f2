"""Words of the command line as tables and keys."""

from decimal import Decimal
from typing import Annotated

import pytest

from caudal import Digits, Pipeline
from caudal.cli.session import deliveries, key_values, keyed, recommender_named
from caudal.config import load_config
from caudal.contract import Delivery
from caudal.errors import NotFound, UsageError
from caudal.pipeline import Stages

shop = Pipeline("corner")


@shop.table(key=("order_id", "line", "price"), deliveries=[Delivery(), Delivery("csv")])
class Sale:
    order_id: str
    line: int
    price: Annotated[Decimal, Digits(6, 2)]


@shop.events()
class View:
    page: str


@pytest.fixture
def stages(tmp_path):
    return Stages(shop, load_config(tmp_path, {}))


def test_a_table_means_all_its_deliveries_and_a_delivery_itself(stages):
    assert [list(deliveries(stages, name)) for name in (None, "sale", "sale_csv")] == [
        ["sale", "sale_csv", "view"], ["sale", "sale_csv"], ["sale_csv"]
    ]
    with pytest.raises(NotFound) as refused:
        deliveries(stages, "sales")
    assert refused.value.hint == "there is sale, view, sale_csv"


def test_a_key_is_read_by_its_columns_types(stages):
    assert key_values(keyed(stages, "sale"), ["007", "7", "1.50"]) == ("007", 7, Decimal("1.50"))
    for words in (["007"], ["007", "seven", "1"], ["007", "7", "cheap"]):
        with pytest.raises(UsageError):
            key_values(keyed(stages, "sale"), words)
    with pytest.raises(UsageError, match="view holds events"):
        keyed(stages, "view")


def test_a_recommender_that_is_not_there_is_named(stages):
    for name in (None, "x"):
        with pytest.raises(NotFound) as refused:
            recommender_named(stages, name)
        assert refused.value.hint == "declare one in the pipeline file"
