"""Which columns a query reads."""

import pytest

from caudal.contract import Column
from caudal.errors import QueryError
from caudal.lake.query.uses import columns_used

TABLES = {
    "sale": [Column("id", "string"), Column("qty", "int"), Column("product_id", "string")],
    "Product": [Column("product_id", "string"), Column("title", "string"), Column("qty", "int")],
}


@pytest.mark.parametrize(("sql", "used"), [
    ("SELECT qty FROM sale", {("sale", "qty")}), ("SELECT QTY FROM sale_history s", {("sale", "qty")}),
    ("SELECT * FROM sale", set()), ("SELECT count(*) FROM sale WHERE qty > 1", {("sale", "qty")}),
    ("SELECT s.qty, title FROM sale s JOIN product p ON s.product_id = p.product_id",
     {("sale", "qty"), ("product", "title"), ("sale", "product_id"), ("product", "product_id")}),
    ("WITH x AS (SELECT qty AS n FROM product) SELECT n FROM x", {("product", "qty")}),
    ("SELECT id FROM sale WHERE product_id IN (SELECT product_id FROM product WHERE qty > 0)",
     {("sale", "id"), ("sale", "product_id"), ("product", "product_id"), ("product", "qty")}),
    ("SELECT 'qty' AS qty FROM sale", set()), ("SELECT _op FROM sale_history", {("sale", "_op")}),
])
def test_a_column_is_used_where_a_query_names_it(sql, used):
    assert columns_used(sql, TABLES) == used


@pytest.mark.parametrize("sql", ["SELECT colour FROM sale", "SELECT 1 FROM nothing", "SELEC", "SELECT qty FROM sale, product"])
def test_what_cannot_be_told_is_said(sql):
    with pytest.raises(QueryError):
        columns_used(sql, TABLES)
