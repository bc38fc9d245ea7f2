"""The current state is what the history says, whatever happened and however the files are cut."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caudal.config import QueryConfig
from caudal.lake.catalog import open_catalog
from caudal.lake.files import open_files
from caudal.lake.query.duckdb import DuckdbQuery
from caudal.testing.query_lake import ORDER, Lake

CHANGES = st.lists(st.tuples(
    st.sampled_from(["put", "put", "delete"]), st.sampled_from(["a", "b", "c", ""]), st.none() | st.sampled_from(["x", ""]), st.booleans()
), max_size=20)


@given(changes=CHANGES, late=st.booleans(), format=st.sampled_from(["parquet", "csv"]))
@settings(max_examples=min(60, settings.default.max_examples), deadline=None, suppress_health_check=[*HealthCheck])
def test_the_last_change_of_each_key_is_shown(changes, late, format):
    lake = Lake(open_catalog("memory:", "shop"), open_files("memory:"))
    table = lake.declare(ORDER, format)
    model, files = {}, [[]]
    for n, (op, key, note, cut) in enumerate(changes):
        model.pop(key, None)
        if op == "put":
            model[key] = {"id": key, "quantity": n, "note": note}
        files[-1].append({"id": key, "quantity": n, "note": note, "_op": op, "_position": n})
        if cut:
            files.append([])
    for rows in reversed(files) if late else files:
        lake.add(table, rows)
    query = DuckdbQuery(lake.catalog, lake.files, QueryConfig(memory_mb=256, threads=1))
    assert query.execute("SELECT * FROM shop_order ORDER BY id").to_pylist() == [model[key] for key in sorted(model)]
    assert query.execute("SELECT count(*) AS n, count(note) AS notes FROM shop_order").to_pylist() == [
        {"n": len(model), "notes": sum(row["note"] is not None for row in model.values())}
    ]
    assert query.execute("SELECT quantity FROM shop_order WHERE id = 'a'").to_pylist() == [
        {"quantity": row["quantity"]} for key, row in model.items() if key == "a"
    ]
    query.close()
