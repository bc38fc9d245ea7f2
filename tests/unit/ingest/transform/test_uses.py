"""Whether a function reads a column: what is certain, and what is a guess."""

from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from caudal.contract import UserFunction, lambda_handler, per_batch
from caudal.ingest.transform.uses import mention


def subscript(item):
    return {**item, "total": item["qty"] * 2}


def gets(item):
    return item if item.get("qty", 0) else None


def removes(item):
    del item["qty"]
    return item


def batch(rows):
    return rows.append_column("twice", rows.column("qty"))


def names(item):
    return {name: item[name] for name in ("id", "qty")}


def doubled(row):
    return row["qty"] * 2


def calls(item):
    return {**item, "total": doubled(item)}


def writes(item):
    item["qty"] = 1
    return item


def other(item):
    """Says qty in words only."""
    return item["quantity"], "qty_total"


def handler(event, context):
    return {"records": [record["qty"] for record in event["records"]]}


def queries(rows):
    return duckdb.sql("SELECT qty * 2 AS twice FROM rows")


def spreads(item):
    return takes(**item)


def takes(id, qty):
    return {"id": id, "twice": qty * 2}


def attribute(item):
    return {"twice": SimpleNamespace(**item).qty}


def logged(function):
    @wraps(function)
    def inner(item):
        return function(item)
    return inner


class Scaler:
    def __call__(self, item):
        return {"total": item["qty"]}


short = lambda item: item["qty"]  # noqa: E731
pair = (lambda item: item["qty"], lambda item: item["id"])


@pytest.mark.parametrize("function", [
    subscript, gets, removes, short, per_batch(batch), partial(subscript), Scaler(), Scaler().__call__, logged(subscript),
])
def test_what_a_function_takes_from_its_argument_is_certain(function):
    place = mention(function if isinstance(function, UserFunction) else UserFunction(function), "qty")
    assert place.certain and place.where.startswith("test_uses.py:")


def test_the_line_is_that_of_the_name():
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if 'item["qty"] * 2' in text)
    assert mention(UserFunction(subscript), "qty").where == f"test_uses.py:{line}"


@pytest.mark.parametrize("function", [
    names, calls, writes, pair[0], lambda_handler(handler), per_batch(queries), spreads, attribute,
])
def test_a_name_that_only_stands_there_is_a_guess(function):
    assert not mention(function if isinstance(function, UserFunction) else UserFunction(function), "qty").certain


@pytest.mark.parametrize("function", [other, pair[1], len, partial(len)])
def test_what_does_not_name_it_does_not_use_it(function):
    assert mention(UserFunction(function), "colour") is None


def test_a_docstring_and_a_longer_name_are_no_use():
    assert mention(UserFunction(other), "qty") is None


def test_an_events_own_members_are_no_columns():
    assert not mention(lambda_handler(handler), "records").certain
