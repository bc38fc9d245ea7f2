"""Random statements leave of an Iceberg table what they leave of a plain one."""

from itertools import count

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.gateway.athena_iceberg.tables import make

pytestmark = pytest.mark.slow

KEYS, VALUES = st.sampled_from(["NULL", *map(str, range(5))]), st.sampled_from(["NULL", "0", "1", "2"])
CONDITIONS = st.sampled_from(["k = 1", "v IS NULL", "k > v", "k IN (2, 3) OR v = 1", "NOT (k = 2)", "true", "false", "k + v = 3"])
SETS = st.sampled_from(["v = v + 1", "k = v, v = k", "v = NULL", "k = 4", "v = CASE WHEN k > 2 THEN 0 ELSE v END"])
MATCHED = st.lists(st.sampled_from([
    "WHEN MATCHED AND s.v = 1 THEN DELETE", "WHEN MATCHED AND t.v IS NULL THEN UPDATE SET v = s.v",
    "WHEN MATCHED AND s.k > 2 THEN UPDATE SET v = coalesce(t.v, 0) + s.v, k = 0",
    "WHEN NOT MATCHED AND s.v > 0 THEN INSERT (v, k) VALUES (s.v, s.k)", "WHEN NOT MATCHED THEN INSERT VALUES (s.k, NULL)",
    "WHEN MATCHED THEN UPDATE SET v = s.v", "WHEN MATCHED THEN DELETE"]), min_size=1, max_size=4, unique=True)


def reachable(clauses):
    """Without those that come after one of their kind that takes every row: the model refuses them."""
    kept = []
    for clause in clauses:
        if not any(one.startswith(clause.partition("MATCHED")[0] + "MATCHED THEN") for one in kept):
            kept.append(clause)
    return " ".join(kept)


def values(rows):
    return ", ".join(f"(CAST({k} AS integer), CAST({v} AS integer))" for k, v in rows)


STATEMENTS = st.one_of(
    st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=6).map(lambda rows: f"INSERT INTO t VALUES {values(rows)}"),
    st.tuples(SETS, CONDITIONS).map(lambda parts: f"UPDATE t SET {parts[0]} WHERE {parts[1]}"),
    CONDITIONS.map(lambda condition: f"DELETE FROM t WHERE {condition}"),
    st.tuples(st.dictionaries(KEYS, VALUES, min_size=1), MATCHED).map(
        lambda parts: f"MERGE INTO t USING (VALUES {values(parts[0].items())}) AS s (k, v) ON t.k = s.k {reachable(parts[1])}"),
    st.just("OPTIMIZE t REWRITE DATA USING BIN_PACK"))
NAMES = count()


@settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True)
@given(statements=st.lists(STATEMENTS, min_size=3, max_size=7), partitioned=st.sampled_from(["", "PARTITIONED BY (k)", "PARTITIONED BY (bucket(2, v))"]))
def test_random_statements_leave_the_rows_that_a_plain_table_has(sql, statements, partitioned):
    name, model = f"random_{next(NAMES)}", duckdb.connect()
    make(sql, name, "k int, v int", partitioned, optimize_rewrite_data_file_threshold=2)
    model.execute("CREATE TABLE t (k INTEGER, v INTEGER)")
    for statement in statements:
        sql.run(statement.replace(" t ", f" {name} t ", 1) if statement.startswith("MERGE") else statement.replace(" t ", f" {name} ", 1))
        if not statement.startswith("OPTIMIZE"):
            model.execute(statement)
    wanted = model.execute("SELECT CAST(k AS varchar), CAST(v AS varchar) FROM t").fetchall()
    assert sorted(map(str, sql.rows(f"SELECT k, v FROM {name}"))) == sorted(str(list(row)) for row in wanted)
