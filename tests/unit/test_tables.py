"""The store and the lake agree on what one key is, and on what is none."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

import pytest

from caudal import Digits, Pipeline
from caudal.config import Config
from caudal.errors import InvalidItem
from caudal.testing.shop import deliver

shop = Pipeline("shop")


@shop.table(key=["at", "price", "n", "day"])
class Quote:
    at: datetime
    price: Annotated[Decimal, Digits(12, 2)]
    n: int
    day: date
    said: str | None


FORMS = [
    ("2026-01-01T00:00:00Z", "1.50", 5, "2026-01-31"),
    ("2026-01-01T01:00:00+01:00", Decimal("1.5"), 5, date(2026, 1, 31)),
    (datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.500"), Decimal(5), "2026-01-31"),
]


@pytest.fixture
def stages(tmp_path):
    with shop.open(Config(folder=str(tmp_path))) as stages:
        yield stages


def quote(at, price, n, day, **more):
    return {"at": at, "price": price, "n": n, "day": day, **more}


def test_what_is_one_row_in_the_lake_is_one_item_in_the_store(stages):
    for number, form in enumerate(FORMS):
        stages.store.put("quote", quote(*form, said=str(number)))
    deliver(stages, ["quote"])
    for form in FORMS:
        assert stages.store.get("quote", form)["said"] == "2"
    assert stages.query.execute("SELECT said FROM quote").to_pylist() == [{"said": "2"}]
    stages.store.delete("quote", FORMS[0])
    deliver(stages, ["quote"])
    assert list(stages.store.scan("quote")) == stages.query.execute("SELECT said FROM quote").to_pylist() == []


@pytest.mark.parametrize("place,value,told", [
    (0, "yesterday", "at"), (0, 5, "at"), (1, "1.505", "price"), (1, "x", "price"), (2, "5", "n"), (2, True, "n"),
    (2, 2**63, "n"), (3, "31.01.2026", "day"),
])
def test_what_can_be_no_key_is_refused_by_name_and_not_shown(stages, place, value, told):
    form = list(FORMS[0])
    form[place] = value
    for call in (lambda: stages.store.put("quote", quote(*form)), lambda: stages.store.get("quote", form)):
        with pytest.raises(InvalidItem) as caught:
            call()
        assert str(caught.value).startswith(f"quote: {told}") and str(value) not in str(caught.value)
