"""What has changed since a base is looked up once."""

import random

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from caudal.config import QueryConfig
from caudal.lake.catalog import open_catalog
from caudal.lake.current import make_base
from caudal.lake.files import open_files
from caudal.lake.query.duckdb import DuckdbQuery
from caudal.lake.query.superseded import _with_equal_hashes
from caudal.testing.query_lake import ORDER, Lake

HASHES = st.lists(st.integers(0, 5), max_size=8)


@given(HASHES, HASHES, st.integers(0, 8))
def test_every_pair_of_equal_hashes_is_found(wanted, known, cut):
    known.sort()
    chunks = pa.chunked_array([known[:cut], known[cut:]], pa.uint64())
    mine, theirs = _with_equal_hashes(pa.chunked_array([wanted], pa.uint64()), chunks)
    expected = [(m, t) for m in range(len(wanted)) for t in range(len(known)) if wanted[m] == known[t]]
    assert list(zip(mine.tolist(), theirs.tolist(), strict=True)) == expected


def test_the_keys_of_a_base_are_sorted_once_and_each_file_is_looked_up_once():
    lake = Lake(open_catalog("memory:", "shop"), open_files("memory:"))
    query, table = DuckdbQuery(lake.catalog, lake.files, QueryConfig(memory_mb=256, threads=1)), lake.declare(ORDER)
    lake.add(table, [{"id": f"o{n}", "quantity": n} for n in range(50)])
    make_base(lake.catalog, lake.files, query, "shop", lake.catalog.snapshot("shop_order"))
    superseded, chance, seen = query._definitions._superseded, random.Random(1), []
    for commit in range(3):
        ids = chance.sample(range(60), 7)
        lake.add(table, [{"id": f"o{id}", "quantity": -1} for id in ids])
        found = superseded.find(lake.catalog.snapshot("shop_order"), None)
        assert superseded.find(lake.catalog.snapshot("shop_order"), None) is found
        [(_, base)] = superseded._known["shop_order"]
        seen.append((base._keys, dict(base._files)))
        assert len(seen[-1][1]) == commit + 1
        assert set(found.superseded["_row"].to_pylist()) >= set(base._keys.filter(
            pa.compute.is_in(base._keys["id"], pa.array([f"o{id}" for id in ids]))
        )["_row"].to_pylist())
    assert all(keys is seen[0][0] for keys, _ in seen)
    assert all(seen[-1][1][path] is rows for path, rows in seen[0][1].items())
    assert not list(query._scratch.folder.glob("keys-*"))
    query.close()


def test_many_small_files_since_a_base_need_no_more_memory_than_a_few():
    """A reader of compressed CSV takes 32 MiB whatever it reads: one for each file at once would be 1.3 GiB, and no query would run."""
    lake = Lake(open_catalog("memory:", "shop"), open_files("memory:"))
    query, table = DuckdbQuery(lake.catalog, lake.files, QueryConfig(memory_mb=512, threads=1)), lake.declare(ORDER, "csv", "gzip")
    lake.add(table, [{"id": f"o{n}", "quantity": n} for n in range(50)])
    make_base(lake.catalog, lake.files, query, "shop", lake.catalog.snapshot("shop_order"))
    for n in range(40):
        lake.add(table, [{"id": f"o{n}", "quantity": -1}])
    assert query.execute("SELECT quantity FROM shop_order WHERE quantity >= 0 ORDER BY 1")["quantity"].to_pylist() == list(range(40, 50))
    assert query.execute("SELECT count(*) AS n FROM shop_order_history").to_pylist() == [{"n": 90}]
    query.close()
