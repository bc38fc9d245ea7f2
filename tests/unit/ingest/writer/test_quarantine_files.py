"""Quarantine files of the first version go on being read."""

import pyarrow as pa
import pytest

from caudal.contract import Column, Contract
from caudal.ingest.writer.objects import put_object
from caudal.ingest.writer.quarantine import Filter, count, from_bytes, to_table, waiting
from caudal.lake.catalog import LakeTable, open_catalog
from caudal.lake.files import open_files
from caudal.lake.formats import encode
from caudal.records import Commit, Rejected

TABLE = LakeTable("sale", Contract("sale", (Column("id", "string"),), ("id",)), "sale")
OLD = Rejected(0, 0, 1_700_000_000_000_000, "wrong_type", "id is a number", b"\xff\x00old")
NEW = Rejected(0, 1, 1_700_003_600_000_000, "wrong_type", "id is a number", b"new", '{"id":"x"}')


@pytest.mark.parametrize("url", ["memory:", "file:"])
def test_a_file_without_origins_is_read_beside_one_that_has_them(tmp_path, url):
    catalog, files = open_catalog("memory:", "shop"), open_files(url + (str(tmp_path) if url == "file:" else ""))
    catalog.declare(TABLE)
    old = encode(to_table([OLD]).drop_columns(["origin"]), "parquet", "")
    made = [put_object(files, f"quarantine/shop/sale/{n}.parquet", (), data, 1)
            for n, data in enumerate([old, encode(to_table([NEW]), "parquet", "")])]
    lease = catalog.lease("sale", "me", 60)
    catalog.commit("sale", Commit(lease.epoch, {}, {0: 2}, [], made, 2, 0, 0, 2, 0))
    assert list(waiting(catalog, files, "sale")) == [OLD, NEW]
    assert list(waiting(catalog, files, "sale", Filter(contains=b"\xff\x00"))) == [OLD]
    assert from_bytes(files.get(made[0].path)) == [OLD]
    assert [(one.reason, one.group, one.records) for one in count(catalog, files, "sale", by="hour")] == [
        ("wrong_type", "2023-11-14 22", 1), ("wrong_type", "2023-11-14 23", 1),
    ]
    assert pa.types.is_binary(to_table([]).schema.field("raw").type)
