"""What every query engine must do when a query asks for tables as they were."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from caudal.errors import QueryError
from caudal.lake.catalog import LakeTable
from caudal.lake.query import Query, SupportsStates
from caudal.testing.query_lake import ORDER, VIEW, Lake

FORMATS = (("parquet", ""), ("csv", ""), ("csv", "gzip"), ("csv", "zstd"))
Answer = Callable[[str], list[dict[str, Any]]]


class QueryVersions:
    """A part of `QuerySuite`."""

    @pytest.fixture(params=FORMATS, ids=" ".join)
    def times(self, request: pytest.FixtureRequest, lake: Lake) -> list[str]:
        """Three versions of shop_order and page_view in one format; the time between each and the next, for SQL."""
        order, view = lake.declare(ORDER, *request.param), lake.declare(VIEW, *request.param)
        between = [_now()]
        for n in (1, 2, 3):
            self._add(lake, order, view, n)
            between.append(_now())
        return between

    def _add(self, lake: Lake, order: LakeTable, view: LakeTable, n: int) -> None:
        rows: list[dict[str, Any]] = [{"id": "a", "quantity": n}, {"id": f"o{n}", "quantity": n}]
        if n == 3:
            rows.append({"id": "o1", "quantity": 1, "_op": "delete"})
        lake.add(order, rows)
        lake.add(view, [{"page": f"/{n}"}])

    @pytest.fixture
    def answer(self, query: Query) -> Answer:
        return lambda sql: query.execute(sql).to_pylist()

    def test_a_version_shows_the_state_and_the_history_of_then(self, times: list[str], answer: Answer) -> None:
        wanted = {1: {"a": 1, "o1": 1}, 2: {"a": 2, "o1": 1, "o2": 2}, 3: {"a": 3, "o2": 2, "o3": 3}}
        for version, state in wanted.items():
            found = answer(f"SELECT id, quantity FROM shop_order FOR VERSION AS OF {version}")
            assert {row["id"]: row["quantity"] for row in found} == state
            n = answer(f"SELECT count(*) AS n FROM shop_order_history FOR VERSION AS OF {version}")
            assert n == [{"n": 2 * version + (version == 3)}]
            assert answer(f"SELECT max(page) AS page FROM page_view FOR VERSION AS OF {version}") == [{"page": f"/{version}"}]
        assert answer("SELECT count(*) AS n FROM shop_order FOR VERSION AS OF 0") == [{"n": 0}]

    def test_a_time_shows_the_newest_version_of_then(self, times: list[str], answer: Answer) -> None:
        for version in (1, 2, 3):
            found = answer(f"SELECT max(quantity) AS n FROM shop_order FOR TIMESTAMP AS OF TIMESTAMP '{times[version]}'")
            assert found == [{"n": version}]
            found = answer(f"SELECT count(*) AS n FROM page_view_history FOR TIMESTAMP AS OF TIMESTAMP '{times[version]} UTC'")
            assert found == [{"n": version}]
        assert answer("SELECT max(quantity) AS n FROM shop_order FOR TIMESTAMP AS OF (current_timestamp - interval '0' day)") == [
            {"n": 3}
        ]
        assert answer("SELECT max(quantity) AS n FROM shop_order FOR TIMESTAMP AS OF date '2200-01-01'") == [{"n": 3}]

    def test_one_query_may_compare_versions(self, times: list[str], answer: Answer) -> None:
        assert answer(
            "SELECT shop_order.id, was.quantity AS was, shop_order.quantity AS now FROM shop_order FOR VERSION AS OF 1 AS was"
            " JOIN shop_order ON was.id = shop_order.id"
        ) == [{"id": "a", "was": 1, "now": 3}]
        assert answer(
            "SELECT id FROM shop_order EXCEPT SELECT shop_order.id FROM shop_order FOR VERSION AS OF 2 ORDER BY 1"
        ) == [{"id": "o3"}]
        assert answer(
            "WITH old AS (SELECT * FROM shop_order FOR VERSION AS OF 1) SELECT (SELECT count(*) FROM old) AS one,"
            " (SELECT count(*) FROM shop_order FOR VERSION AS OF 2) AS two, (SELECT count(*) FROM shop_order) AS now"
        ) == [{"one": 2, "two": 3, "now": 3}]

    def test_states_are_the_latest_rows_by_key_deleted_ones_apart(self, times: list[str], query: Query) -> None:
        if not isinstance(query, SupportsStates):
            pytest.skip("no states")
        wanted = {
            (1, False): [("a", 1, "put"), ("o1", 1, "put")], (1, True): [],
            (3, False): [("a", 3, "put"), ("o2", 2, "put"), ("o3", 3, "put")], (3, True): [("o1", 1, "delete")],
        }
        for (version, deleted), rows in wanted.items():
            batches = list(query.states("shop_order", version, deleted))
            found = [row for batch in batches for row in batch.to_pylist()]
            assert [(row["id"], row["quantity"], row["_op"]) for row in found] == rows
            assert all(batch.schema.names == ORDER.row_schema.names for batch in batches)

    @pytest.mark.parametrize("sql,says", [
        ("SELECT * FROM shop_order FOR VERSION AS OF 4", "table shop_order has no version 4"),
        ("SELECT * FROM shop_order FOR TIMESTAMP AS OF TIMESTAMP '2020-01-01 00:00:00'",
         "table shop_order has no version of 2020-01-01 00:00:00 UTC"),
    ])
    def test_a_version_that_never_was_gets_an_error_that_says_which_there_are(
        self, times: list[str], answer: Answer, sql: str, says: str
    ) -> None:
        with pytest.raises(QueryError) as caught:
            answer(sql)
        assert str(caught.value) == says
        assert caught.value.hint.startswith("its versions are 1 to 3, the oldest of 20")
        assert (caught.value.line, caught.value.column) == (1, 15)

    def test_an_expired_version_gets_an_error_that_says_so(self, times: list[str], lake: Lake, answer: Answer) -> None:
        lake.catalog.expire("shop_order", 2, 1 << 60)
        assert answer("SELECT max(quantity) AS n FROM shop_order FOR VERSION AS OF 2") == [{"n": 2}]
        for sql in ("FOR VERSION AS OF 1", f"FOR TIMESTAMP AS OF TIMESTAMP '{times[1]}'"):
            with pytest.raises(QueryError) as caught:
                answer(f"SELECT * FROM shop_order {sql}")
            assert caught.value.hint.startswith("its versions are 2 to 3, ")

    @pytest.mark.parametrize("sql,says", [
        ("SELECT * FROM shop_order FOR VERSION AS OF 'x'", "shop_order: a version is a whole number"),
        ("SELECT * FROM shop_order FOR VERSION AS OF 1.5", "shop_order: a version is a whole number"),
        ("SELECT * FROM shop_order FOR VERSION AS OF -1", "shop_order: a version is a whole number"),
        ("SELECT * FROM shop_order FOR VERSION BETWEEN 1 AND 2", "shop_order: only one version can be read"),
        ("SELECT * FROM shop_order FOR TIMESTAMP AS OF 5", "shop_order: what follows TIMESTAMP AS OF is not a timestamp"),
        ("SELECT * FROM shop_order FOR TIMESTAMP AS OF 'ann@example.org'",
         "shop_order: what follows TIMESTAMP AS OF is not a timestamp"),
        ("SELECT * FROM shop_order FOR TIMESTAMP AS OF NULL", "shop_order: what follows TIMESTAMP AS OF is not a timestamp"),
        ("WITH s AS (SELECT 1 AS n) SELECT * FROM s FOR VERSION AS OF 1", "s is a part of this query and has no versions"),
        ("SELECT * FROM nothing FOR VERSION AS OF 1", "no table nothing"),
        ("SELECT * FROM shop_order FOR TIMESTAMP AS OF read_text('/etc/passwd')",
         "function read_text does not exist, or may not run"),
    ])
    def test_what_names_no_version_is_refused(self, times: list[str], answer: Answer, sql: str, says: str) -> None:
        with pytest.raises(QueryError) as caught:
            answer(sql)
        assert str(caught.value) == says
        assert "example" not in caught.value.hint

    def test_a_column_that_is_not_there_is_told_of_as_ever(self, times: list[str], answer: Answer) -> None:
        with pytest.raises(QueryError, match="column quantty is not in shop_order") as caught:
            answer("SELECT quantty FROM shop_order FOR VERSION AS OF 1")
        assert "quantity" in caught.value.hint


def _now() -> str:
    """The time, for SQL; nothing else happens in its milliseconds."""
    time.sleep(0.003)
    now = datetime.now(UTC)
    time.sleep(0.003)
    return f"{now:%Y-%m-%d %H:%M:%S.%f}"
