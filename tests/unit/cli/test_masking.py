"""What `caudal quarantine show` lets through."""

from typing import Annotated

import pytest

from caudal import personal, renamed
from caudal.cli.masking import as_text, masked
from caudal.contract import read_contract


class Customer:
    customer_id: str
    email: Annotated[str | None, personal, renamed("mail")]
    tags: list[str]


CUSTOMER = read_contract(Customer, name="customer", key=["customer_id"])


class Product:
    product_id: str


PRODUCT = read_contract(Product, name="product", key=["product_id"])


@pytest.mark.parametrize(("raw", "shown"), [
    (b'{"email":"a@b.c","n":1.10}', '{"email":"***","n":1.10}'),
    (b'{"op":"put","row":{"EMail":"a@b.c"},"before":{"email":["a@b.c"]}}', '{"op":"put","row":{"EMail":"***"},"before":{"email":"***"}}'),
    (b'{"mail":"a@b.c"}', '{"mail":"***"}'),
    (b'{"rows":[{"email":{"at":"a@b.c"}}]}', '{"rows":[{"email":"***"}]}'),
    (b'{"email":"a@b.c","email":"d@e.f"}', '{"email":"***"}'),
    (b'{"email":null}', '{"email":null}'),
])
def test_personal_values_are_masked_wherever_they_lie(raw, shown):
    assert masked(raw, CUSTOMER) == shown


@pytest.mark.parametrize("raw", [b'{"email":"a@b.c"', b'"c1","a@b.c"\n', b'["a@b.c"]', b'"a@b.c"', b"\xff", b"", b"NaN"])
def test_what_has_no_names_is_not_shown_at_all(raw):
    assert masked(raw, CUSTOMER) is None


def test_a_table_without_personal_columns_is_shown_as_it_came():
    assert masked(b'{"product_id": 1,\xff\n', PRODUCT) == '{"product_id": 1,\\xff'
    assert as_text(b"a\x1b\n") == "a\x1b"
