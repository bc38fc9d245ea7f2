"""Every error is in the tree, says whether to retry, and can say what to do."""

import inspect
import re

import pytest

from caudal import errors
from caudal.errors import CaudalError, QueryError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, CaudalError)]


def drawn_tree():
    """Name to the parent's name, as the module's docstring draws it."""
    parents, path = {}, []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"([│├└─ ]*)([A-Z]\w+)(\s|$)", line):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            if depth or found[2] == "CaudalError":
                parents[found[2]] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_the_tree():
    assert drawn_tree() == {cls.__name__: cls.__base__.__name__ for cls in CLASSES}


def test_only_what_may_succeed_later_says_retry():
    assert {cls.__name__ for cls in CLASSES if cls.retry} == {"Unavailable", "Throttled", "Conflict"}


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_has_a_message_and_a_hint(cls):
    error = cls("it broke", hint="mend it")
    assert (str(error), error.hint) == ("it broke", "mend it")
    assert cls("it broke").hint == ""


def test_a_query_error_knows_its_place():
    error = QueryError("no column x", line=2, column=7)
    assert (error.line, error.column) == (2, 7)
    assert (QueryError("no").line, QueryError("no").column) == (0, 0)
