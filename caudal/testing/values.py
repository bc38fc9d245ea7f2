"""Hypothesis strategies for what an item can hold."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st


def _decimal(negative: bool, digits: int, exponent: int) -> Decimal:
    return Decimal((int(negative), tuple(map(int, str(digits))), exponent))


decimals = st.builds(_decimal, st.booleans(), st.integers(0, 10**38 - 1), st.integers(-130, 87)).filter(
    lambda value: not value or -130 <= value.adjusted() <= 125
)
numbers: st.SearchStrategy[int | Decimal] = (
    st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(-20, 20) | decimals | st.decimals(-5, 5, places=2)
)
"""All that have 38 significant digits at most."""

texts = st.text(max_size=5) | st.text("\x00\x01\xff\u0100a", max_size=4)
binaries = st.binary(max_size=4) | st.lists(st.sampled_from([0, 1, 255]), max_size=4).map(bytes)
instants = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-12))]
))

plain: st.SearchStrategy[Any] = st.none() | st.booleans() | numbers | st.text(max_size=9) | st.binary(max_size=9)
values: st.SearchStrategy[Any] = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.text(max_size=3) | st.sampled_from(["$bytes", "$dict", "$"]), inner, max_size=3
), max_leaves=8)
items = st.dictionaries(st.text(max_size=4) | st.sampled_from(["$bytes", "$dict"]), values, max_size=4)
