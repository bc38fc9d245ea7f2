"""Items and keys as bytes: nothing is rounded, and bytes sort as values do."""

from datetime import date, datetime, timedelta, timezone
from decimal import Context, Decimal
from functools import cmp_to_key

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caudal.errors import InvalidItem
from caudal.ingest.items import DEPTH, add_exactly, decode_item, encode_item, encode_key, same_value
from caudal.testing.values import binaries, instants, items, numbers, texts


@given(items)
def test_an_item_comes_back_equal(item):
    data = encode_item(item)
    assert b"\n" not in data
    assert decode_item(data) == item
    assert encode_item(decode_item(data)) == data


@given(numbers)
@example(Decimal("1E+100"))
@example(10**100)
@example(Decimal("5.000"))
def test_a_number_is_exact_and_whole_ones_are_int(number):
    """D01, D02, D04."""
    kept = decode_item(encode_item({"n": number}))["n"]
    assert kept == number
    assert isinstance(kept, int) is (number == int(number) and -(10**38) < number < 10**38)


@given(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e120, max_value=1e120).filter(lambda x: not x or abs(x) > 1e-120)
)
def test_a_float_is_kept_as_it_is_written(number):
    assert decode_item(encode_item({"n": number}))["n"] == Decimal(repr(number))
    encode_item(decode_item(encode_item({"n": number})))


@pytest.mark.parametrize("value", [
    10**38 + 1, 10**39 - 1, Decimal("1E+126"), Decimal("1E-131"), Decimal("0." + "1" * 39), Decimal("1" * 5000), 10**5000 + 1,
    float("nan"), float("-inf"), Decimal("sNaN"), Decimal("-Infinity"), 1e200, 5e-324,
], ids=lambda value: ascii(value)[:20] if not isinstance(value, int) else "int")
def test_a_number_that_does_not_fit_is_refused(value):
    """D05."""
    for item in ({"n": value}, {"n": [1, {"m": value}]}):
        with pytest.raises(InvalidItem, match="attribute n"):
            encode_item(item)


@pytest.mark.parametrize(
    "item,names",
    [
        ({"mail\ud800": 1}, "mail"),
        ({"mail": "x\udfffsecret"}, "mail"),
        ({"mail": ["\ud800secret"]}, "mail"),
        ({"mail": {"a\ud800": "secret"}}, "mail"),
        ({"mail": {1: "secret"}}, "mail"),
        ({1: "secret"}, "name"),
        ({None: 1, "a": 2}, "name"),
        ({"mail": {("secret",)}}, "mail"),
        ({"mail": datetime(2026, 1, 1)}, "mail"),
        ({"mail": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))}, "mail"),
        ({"mail": Ellipsis}, "mail"),
        ({"mail": timedelta(1)}, "mail"),
        ({"mail": {"deep": {"deeper": set()}}}, "mail.deep.deeper"),
    ],
    ids=ascii,
)
def test_what_is_refused_is_named_and_never_shown(item, names):
    with pytest.raises(InvalidItem, match=names) as refused:
        encode_item(item)
    assert "secret" not in f"{refused.value} {refused.value.hint}"
    assert refused.value.hint


def test_what_lies_too_deep_is_refused_and_what_does_not_comes_back():
    def nested(depth, value=0):
        for _ in range(depth):
            value = [value]
        return value

    assert decode_item(encode_item({"a": nested(DEPTH)})) == {"a": nested(DEPTH)}
    for depth in (DEPTH + 1, 5000):
        with pytest.raises(InvalidItem, match="nested"):
            encode_item({"a": nested(depth)})


def test_times_go_in_as_text_of_utc():
    at = datetime(2026, 1, 1, 5, 45, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert decode_item(encode_item({"at": at, "day": date(2026, 1, 2)})) == {
        "at": "2026-01-01T00:00:00.000000Z",
        "day": "2026-01-02",
    }


def test_tuples_and_buffers_go_in_as_lists_and_bytes():
    assert decode_item(encode_item({"a": (1, (2,)), "b": bytearray(b"x"), "c": memoryview(b"y")})) == {
        "a": [1, [2]],
        "b": b"x",
        "c": b"y",
    }


@given(numbers, numbers)
def test_a_sum_is_exact(one, other):
    total = add_exactly("n", one, other)
    assert Context(prec=1000).subtract(Decimal(total), Decimal(other)) == one


@pytest.mark.parametrize("one,other", [(1, True), (None, 1), ("1", 1), (1, "1"), ([], 1)])
def test_only_numbers_are_added(one, other):
    with pytest.raises(InvalidItem, match="attribute n"):
        add_exactly("n", one, other)


@pytest.mark.parametrize(
    "stored,given,same",
    [
        (Decimal("1.1"), 1.1, True),
        (1, 1.0, True),
        (1, True, False),
        (False, 0, False),
        (None, None, True),
        ("", None, False),
        ("2026-01-01", date(2026, 1, 1), True),
        ([1, "a"], (1, "a"), True),
        ({"a": Decimal("0.1")}, {"a": 0.1}, True),
        (b"x", bytearray(b"x"), True),
    ],
)
def test_a_value_is_the_same_if_it_would_come_back_so(stored, given, same):
    assert same_value(stored, given) is same


@pytest.mark.parametrize(
    "kind", [numbers, texts, binaries, instants, st.dates()], ids=["numbers", "texts", "bytes", "instants", "dates"]
)
def test_bytes_of_keys_sort_as_values_do(kind):
    @given(kind, kind)
    def check(one, other):
        a, b = encode_key([one]), encode_key([other])
        assert (a < b, a == b) == (one < other, one == other)

    check()


@given(st.lists(st.tuples(texts, numbers | st.integers(-3, 3), binaries), max_size=12))
def test_composite_keys_sort_part_by_part(keys):
    assert sorted(keys, key=encode_key) == sorted(keys)


@given(st.lists(st.tuples(texts, texts) | st.tuples(numbers, texts) | st.tuples(binaries, numbers), min_size=1, max_size=12))
def test_a_prefix_finds_its_keys_and_no_others(keys):
    """They lie between the prefix and the prefix with 0xFF behind it."""
    start = encode_key(keys[0][:1])
    for key in keys:
        assert (start <= encode_key(key) < start + b"\xff") is (key[0] == keys[0][0])


@given(st.tuples(texts, numbers), st.tuples(texts, numbers))
def test_keys_are_equal_only_if_their_values_are(one, other):
    assert (encode_key(one) == encode_key(other)) is (one == other)


@given(st.lists(st.sampled_from(["a", 1, b"b", Decimal("0.5")]), min_size=2, max_size=2))
def test_kinds_sort_as_numbers_texts_bytes(pair):
    rank = {int: 0, Decimal: 0, str: 1, bytes: 2}
    by_kind = sorted(pair, key=cmp_to_key(lambda a, b: rank[type(a)] - rank[type(b)] or (a > b) - (a < b)))
    assert sorted(pair, key=lambda value: encode_key([value])) == by_kind


@given(items, st.sampled_from(["id", "at"]), texts | numbers | binaries | instants | st.dates())
def test_a_key_read_back_from_its_item_has_the_same_bytes(item, name, value):
    kept = decode_item(encode_item({**item, name: value}))[name]
    assert encode_key([kept]) == encode_key([value])


@pytest.mark.parametrize(
    "value", [None, 1.0, True, [], {}, "\ud800", datetime(2026, 1, 1), 10**38 + 1, Decimal("NaN")], ids=ascii
)
def test_what_identifies_nothing_is_no_key(value):
    """L01, L13."""
    with pytest.raises(InvalidItem) as refused:
        encode_key(["a", value])
    assert refused.value.hint
