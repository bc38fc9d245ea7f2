"""Patterns from outside find what they mean, and hold nobody."""

import re
from fnmatch import translate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.lake.query.commands import matching
from caudal.lake.query.patterns import fitting, wildcards


@pytest.mark.parametrize(("pattern", "expected"), [
    ("sale", [True, False, True, False]), ("s.*", [True, True, True, False]), ("SALE|pro.*", [True, False, True, True]),
    ("", [False] * 4), ("al", [False] * 4), (r"\D+", [True, False, True, True]), (r"sale_\d", [False, True, False, False]),
])
def test_an_expression_fits_whole_names_in_any_case(pattern, expected):
    assert fitting(["sale", "sale_1", "Sale", "product"], pattern) == expected


@pytest.mark.parametrize("pattern", ["(", "a)|(b", "(?=a)", "(a)\\1", "*", "[", "(a{1000}){1000}"])
def test_what_is_no_expression_is_said_to_be(pattern):
    with pytest.raises(ValueError, match="regular expression"):
        fitting(["a"], pattern)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", "(.*a){20}b", "((a*)*)*b"])
def test_no_expression_tries_for_ever(pattern):
    """Python's own would go through as many ways as there are atoms."""
    assert fitting(["a" * 255], pattern) == [False]


def test_no_wildcards_try_for_ever():
    assert matching(["a" * 255], "*a" * 60 + "*b") == []
    assert re.fullmatch(wildcards("%a" * 60 + "%b", "%", "_"), "a" * 4000) is None


@given(st.text("ab.\n", max_size=8), st.text("ab.*?", max_size=8))
def test_wildcards_find_what_trying_everything_finds(text, pattern):
    assert bool(re.fullmatch(wildcards(pattern, "*", "?"), text)) == bool(re.fullmatch(translate(pattern), text))
