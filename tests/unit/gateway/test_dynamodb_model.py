"""DynamoDB's values and expressions against a small model, over what Hypothesis makes up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.gateway.dynamodb.scope import Scope, project
from caudal.gateway.dynamodb.syntax import parse
from caudal.gateway.dynamodb.updates import Update
from caudal.gateway.dynamodb.values import in_order, read_item, read_value, same, size_of, write_item, write_value
from caudal.gateway.faults import AwsError
from caudal.ingest.items import decode_item, encode_item

numbers = st.integers(-(10**38) + 1, 10**38 - 1) | st.decimals(-1000, 1000, places=3).map(lambda n: read_value({"N": str(n)}))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
scalars = st.none() | st.booleans() | numbers | texts | st.binary(max_size=4)
sets = st.sets(texts, min_size=1, max_size=3) | st.sets(numbers, min_size=1, max_size=3) | st.sets(st.binary(max_size=3), min_size=1, max_size=3)
names = st.sampled_from(["a", "b", "$set", "$bytes", "S", "N"]) | texts
values = st.recursive(scalars | sets, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8)
items = st.dictionaries(names, values, max_size=4)


@given(items)
def test_an_item_comes_back_from_the_wire_and_from_the_store_as_it_was(item):
    back = read_item(write_item(item))
    assert write_item(back) == write_item(in_order(item))
    stored = decode_item(encode_item(back))
    assert write_item(stored) == write_item(back)
    assert all(same(stored[name], item[name]) for name in item)


@given(values)
def test_a_number_s_text_is_plain_digits_and_every_value_has_a_size(value):
    assert "E" not in str(write_value(value).get("N", ""))
    assert size_of(value) >= 0


@given(values, values)
def test_values_are_the_same_if_and_only_if_the_wire_has_them_alike(a, b):
    def canonical(value):
        return write_value(in_order(value))

    assert same(a, b) is (canonical(a) == canonical(b))


_plain = st.sampled_from([0, 1, 2, "a", "ab", True, None, b"a"])
_facts = st.dictionaries(st.sampled_from("pqr"), _plain, max_size=3)


@st.composite
def _conditions(draw, depth=3):
    """A condition as text, and as a function of an item and the values."""
    name, value = draw(st.sampled_from("pqr")), draw(st.sampled_from("xyz"))
    if not depth or draw(st.booleans()):
        kind = draw(st.sampled_from(["exists", "=", "<>", "begins"]))
        if kind == "exists":
            return f"attribute_exists({name})", lambda item, v: name in item
        if kind == "begins":
            return f"begins_with({name}, :t)", lambda item, v: isinstance(item.get(name), str) and item[name].startswith("a")
        if kind == "=":
            return f"{name} = :{value}", lambda item, v: name in item and _alike(item[name], v[value])
        return f"{name} <> :{value}", lambda item, v: name not in item or not _alike(item[name], v[value])
    left, right = draw(_conditions(depth - 1)), draw(_conditions(depth - 1))
    kind = draw(st.sampled_from(["and", "or", "not"]))
    if kind == "not":
        return f"NOT ({left[0]})", lambda item, v: not left[1](item, v)
    sign = draw(st.sampled_from([kind, kind.upper()]))
    text = f"({left[0]}) {sign} ({right[0]})"
    if kind == "and":
        return text, lambda item, v: left[1](item, v) and right[1](item, v)
    return text, lambda item, v: left[1](item, v) or right[1](item, v)



def _alike(a, b):
    return type(a) is type(b) and a == b


@given(_conditions(), _facts, st.fixed_dictionaries(dict.fromkeys("xyz", _plain)))
def test_a_condition_holds_as_the_model_says(condition, item, given_values):
    text, model = condition
    scope = Scope(None, {":t": "a"} | {f":{name}": value for name, value in given_values.items()})
    assert scope.condition(text, "ConditionExpression")(item) is model(item, given_values)


@given(st.dictionaries(st.sampled_from("pq"), st.integers(-5, 5)), st.integers(-5, 5), st.sampled_from(["set", "init", "add", "remove"]))
def test_an_update_does_as_the_model_says(item, amount, kind):
    text, model = {
        "set": ("SET p = :v", {**item, "p": amount}), "init": ("SET p = if_not_exists(p, :v) + :v", {**item, "p": item.get("p", amount) + amount}),
        "add": ("ADD p :v", {**item, "p": item.get("p", 0) + amount}), "remove": ("REMOVE p", {n: v for n, v in item.items() if n != "p"}),
    }[kind]
    before = dict(item)
    assert Update(text, Scope(None, {":v": amount}), ["id"]).apply(item) == model
    assert item == before


@given(st.text(st.sampled_from("ab.:#[]0()=<>+-, \n\"'andornotSET"), max_size=30), st.sampled_from(["condition", "projection", "update"]))
def test_no_text_does_worse_than_be_refused(text, start):
    try:
        parse(start, text, "Expression")
    except AwsError as error:
        assert error.code == "ValidationException"
        assert str(error).startswith("Invalid Expression: ")


def test_a_sum_is_exact_or_refused():
    scope = Scope(None, {":v": Decimal("1E-130")})
    with pytest.raises(AwsError, match="38 significant digits"):
        Update("SET n = n + :v", scope, ["id"]).apply({"n": 1})
    assert Update("SET n = n - :v", scope, ["id"]).apply({"n": Decimal("1E-130")}) == {"n": 0}


def test_a_projection_closes_lists_up():
    item = {"l": [0, {"x": 1, "y": 2}, 3], "m": {"a": 1, "b": {"c": 2}}}
    assert project(item, [("l", 2), ("l", 1, "y"), ("m", "b", "c"), ("no",)]) == {"l": [{"y": 2}, 3], "m": {"b": {"c": 2}}}
