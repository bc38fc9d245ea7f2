"""What every query engine must make of a table that another system feeds: repeated, and in any order."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from caudal.lake.query import Query
from caudal.testing.query_lake import ORDER, Lake

CHAINED = replace(ORDER, form="dynamodb")
LOGGED = replace(ORDER, form="debezium")


def _change(id: str, second: int, before: int | None, after: int | None, **more: Any) -> dict[str, Any]:
    """A change of one order's quantity; images are told apart by that alone."""
    return {
        "id": "a", "quantity": after if after is not None else before, "_op": "delete" if after is None else "put", "_event_id": id,
        "_event_time": datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC), "_before": before or 0, "_after": after or 0, **more,
    }


class QueryForeign:
    """Part of `QuerySuite`."""

    @pytest.mark.parametrize("format", ["parquet", "csv"])
    @pytest.mark.parametrize(("changes", "expected"), [
        ([_change("e1", 1, None, 1), _change("e2", 2, 1, 5)], 5),  # by event time
        ([_change("e1", 1, None, 1), _change("e2", 2, 1, 2), _change("e3", 2, 2, 3)], 3),  # by the chain of images
        ([_change("e1", 2, 1, 2), _change("e2", 2, 2, 1), _change("e3", 2, 1, 2)], 2),  # which may come by an image twice
        ([_change("e1", 1, None, 1), _change("e2", 2, 1, 2), _change("e3", 2, 2, 1)], 1),  # or lead in a circle
        ([_change("e1", 3, 5, None), _change("e2", 3, None, 9)], 9),  # an insert follows the delete of its time
        ([_change("e1", 1, None, 1), _change("e2", 2, 1, 2), _change("e3", 3, 2, None)], None),  # nothing late revives
        ([_change("e1", 2, 1, 2, _sequence="1"), _change("e2", 2, 2, 1, _sequence="2")], 1),  # by sequence last
    ])
    def test_changes_are_ordered_by_time_chain_and_sequence_whenever_they_arrive(
        self, lake: Lake, query: Query, format: str, changes: list[dict[str, Any]], expected: int | None
    ) -> None:
        for n, order in enumerate(permutations(changes)):
            table = lake.declare(replace(CHAINED, name=f"t{n}"), format)
            lake.add(table, order)
            lake.add(table, order[:1])  # and again
            assert query.execute(f"SELECT quantity FROM t{n}").to_pylist() == ([{"quantity": expected}] if expected else [])
            assert query.execute(f"SELECT count(*) AS n FROM t{n}_history").to_pylist() == [{"n": len(changes)}]

    @pytest.mark.parametrize("format", ["parquet", "csv"])
    def test_event_ids_of_debezium_are_the_order_of_its_log(self, lake: Lake, query: Query, format: str) -> None:
        table = lake.declare(LOGGED, format)
        rows = [{name: value for name, value in _change(id, second, 1, quantity).items() if name not in ("_before", "_after")}
                for id, second, quantity in (("03", 1, 3), ("01", 9, 1), ("02", 5, 2))]
        lake.add(table, rows)
        lake.add(table, rows[:2])
        assert query.execute("SELECT quantity FROM shop_order").to_pylist() == [{"quantity": 3}]
        assert query.execute("SELECT count(*) AS n FROM shop_order_history").to_pylist() == [{"n": 3}]

    def test_every_row_that_was_made_of_one_record_is_shown(self, lake: Lake, query: Query) -> None:
        table = lake.declare(replace(CHAINED, key=()))
        place = {"_event_id": "e1", "_shard": 0, "_position": 0}
        lake.add(table, [{"id": "a", "quantity": 1, **place}, {"id": "b", "quantity": 2, **place}])
        lake.add(table, [{"id": "a", "quantity": 1, "_event_id": "e1"}])
        assert query.execute("SELECT id FROM shop_order ORDER BY id").to_pylist() == [{"id": "a"}, {"id": "b"}]
