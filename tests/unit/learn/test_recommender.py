"""What is refused in a recommender's declaration, and what the refusal says."""

from datetime import date, datetime

import pytest

from caudal.contract import read_contract
from caudal.errors import ContractError
from caudal.learn.recommender import Recommender, check_recommender, table_of

GOOD = "SELECT customer_id AS user, product_id AS item, sold_at AS time, quantity AS weight FROM sale WHERE quantity > 0"


class Sale:
    sale_id: str
    customer_id: str
    product_id: str
    sold_at: datetime
    day: date
    quantity: int


class Click:
    user: str
    item: str


CONTRACTS = {
    "sale": read_contract(Sale, name="sale", key=["sale_id"]),
    "click": read_contract(Click, name="click"),
}


def check(interactions: str = GOOD, *, name: str = "for_you", **declared) -> None:
    check_recommender(Recommender(name, interactions, **declared), CONTRACTS, {"taken"})


def refused(*args, **kwargs) -> str:
    with pytest.raises(ContractError) as caught:
        check(*args, **kwargs)
    return f"{caught.value} | {caught.value.hint}"


@pytest.mark.parametrize("sql", [
    GOOD,
    "SELECT s.customer_id AS user, s.product_id AS item, s.sold_at AS time FROM sale AS s",
    "SELECT user, item, _event_time AS time FROM click",
    "SELECT customer_id AS user, product_id AS item, CAST(day AS timestamp) AS time FROM sale",
    f"{GOOD} AND cardinality(filter(ARRAY[quantity], x -> x > 1)) > 0",
    f"{GOOD} AND CASE WHEN lower(product_id) LIKE 'a%' THEN true ELSE false END",
])
def test_a_query_that_looks_at_each_row_by_itself_is_fine(sql):
    check(sql)


@pytest.mark.parametrize(("sql", "told"), [
    (GOOD.replace("customer_id AS", "max(customer_id) AS"), "an aggregate"),
    (GOOD.replace("quantity AS", "cardinality(map_agg(customer_id, 1)) AS"), "an aggregate"),
    (GOOD.replace("SELECT", "SELECT DISTINCT"), "DISTINCT"),
    (f"{GOOD} ORDER BY 1", "ORDER BY"),
    (f"{GOOD} LIMIT 3", "LIMIT"),
    (f"{GOOD} GROUP BY 1, 2, 3, 4", "GROUP BY"),
    (GOOD.replace("FROM sale", "FROM sale, click"), "a join"),
    (GOOD.replace("FROM sale", "FROM sale JOIN click ON item = product_id"), "a join"),
    (GOOD.replace("FROM sale", "FROM sale CROSS JOIN UNNEST(ARRAY[1]) AS t(x)"), "a join"),
    (f"{GOOD} AND product_id IN (SELECT item FROM click)", "a SELECT in a SELECT"),
    (GOOD.replace("FROM sale", "FROM (SELECT * FROM sale)"), "a SELECT in a SELECT"),
    (f"WITH x AS (SELECT 1) {GOOD}", "a WITH clause"),
    (f"{GOOD} UNION ALL {GOOD}", "UNION"),
    (GOOD.replace("quantity AS", "row_number() OVER (ORDER BY day) AS"), "a window"),
    (GOOD.replace("sold_at AS", "now() AS"), "the current time"),
    (f"{GOOD} AND day > current_date", "the current date"),
    (GOOD.replace("quantity AS", "random() AS"), "a random number"),
    (GOOD.replace("FROM sale", "FROM sale TABLESAMPLE BERNOULLI (10)"), "TABLESAMPLE"),
])
def test_a_query_that_looks_beyond_one_row_is_refused_by_what_it_does(sql, told):
    assert told in refused(sql)


@pytest.mark.parametrize(("sql", "told"), [
    ("SELEC x", "is no SELECT"),
    ("SELECT a FROM", "cannot be read at line 1"),
    (f"{GOOD}; {GOOD}", "2 statements"),
    ("DROP TABLE sale", "is no SELECT"),
    ("SELECT 'u' AS user, 'i' AS item, 1 AS time", "reads 0 tables"),
    (GOOD.replace("FROM sale", "FROM sael"), "did you mean sale?"),
    (GOOD.replace("FROM sale", "FROM sale_history"), "write FROM sale"),
    (GOOD.replace("FROM sale", "FROM other.sale"), "write FROM sale"),
    (GOOD.replace("customer_id", "custmer_id"), "did you mean customer_id?"),
    (GOOD.replace("AS user", "AS usr"), "selects no column user | name it: SELECT usr AS user"),
    ("SELECT * FROM sale", "selects no column user and no column item and no column time"),
    (GOOD.replace("sold_at", "day"), "CAST(day AS timestamp) AS time"),
    (GOOD.replace("sold_at", "_event_time"), "no column _event_time"),
    (GOOD.replace("sold_at", "date(sold_at)"), "time is date, not a timestamp"),
    (GOOD.replace("sold_at", "date_format(sold_at, '%Y')"), "time is varchar, not a timestamp"),
    (GOOD.replace("quantity AS weight", "product_id AS weight"), "weight is varchar, not a number"),
    (GOOD.replace("quantity AS weight", "quantity > 1 AS weight"), "weight is boolean, not a number"),
    (GOOD.replace("product_id AS item", "quantity > 1 AS item"), "item is boolean, not text or a whole number"),
])
def test_what_cannot_work_is_named_with_its_mend(sql, told):
    message = refused(sql)
    assert told in message
    assert message.startswith("recommender for_you, interactions: ")


def test_a_name_is_used_once_and_is_one():
    assert "declared twice" in refused(name="taken")
    assert "not a name" in refused(name="../up")


def test_items_come_from_a_keyed_table_and_name_the_item():
    check(items="SELECT product_id AS item, quantity > 0 AS available FROM sale")
    assert "has no key" in refused(items="SELECT item FROM click")
    assert "SELECT product_id AS item" in refused(items="SELECT product_id FROM sale")


def test_a_model_and_its_options_are_known():
    check(model="popular")
    check(options={"ridge": 3.0})
    assert "did you mean 'ease'" in refused(model="eas")
    assert "did you mean 'ridge'" in refused(options={"rigde": 1})
    assert "an option cannot be so" in refused(options={"ridge": -1})


def test_the_one_table_of_a_query_is_found():
    assert table_of(GOOD) == "sale"
