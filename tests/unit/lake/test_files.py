"""Paths of objects: plain, and one folder a value."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caudal.errors import UsageError
from caudal.lake.files import check_path, folder_value

texts = st.text() | st.text("aA%=/.\\\x00_ ~é😀", max_size=6) | st.text("é", min_size=20, max_size=400)


@given(texts)
@example("")
@example("..")
@example("a/../b")
@example("😀" * 300)
@example("%2F")
def test_any_value_makes_a_folder(value):
    path = f"{'k' * 128}_month={folder_value(value)}/part.parquet"
    assert check_path(path) == path
    assert path.count("/") == 1
    assert max(map(len, path.split("/"))) <= 255


@given(texts, texts)
@example("/", "%2F")
@example("=", "%3D")
@example("x" * 400, "x" * 401)
@example("x" * 400, folder_value("x" * 400))
def test_distinct_values_make_distinct_folders(one, other):
    assert (folder_value(one) == folder_value(other)) is (one == other)


@pytest.mark.parametrize(
    "value,folder",
    [
        ("2026-01-02", "2026-01-02"),
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("é", "%C3%A9"),
        ("100%", "100%25"),
        ("a=b", "a%3Db"),
        ("", ""),
    ],
)
def test_a_value_is_escaped_as_hive_does(value, folder):
    assert folder_value(value) == folder


@pytest.mark.parametrize("name,visible", [("_part-0.csv", False), (".tmp.csv", False), ("part-0.csv", True)])
def test_a_name_that_athena_hides_is_refused(name, visible):
    """G08."""
    if visible:
        assert check_path(f"lake/orders/{name}") == f"lake/orders/{name}"
    else:
        with pytest.raises(UsageError):
            check_path(f"lake/orders/{name}")


def test_a_double_slash_is_refused():
    """G10."""
    with pytest.raises(UsageError):
        check_path("lake/orders//part-0.csv")
