"""What the publisher does when its start is not what it left: replays, merged files, expired versions, other engines."""

import os
import sys
import time
from pathlib import Path

import apsw
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iceberg_shop import Reader, deliver, make_pipeline, publish, rows, sale

from caudal.config import Config, IcebergConfig, MaintainConfig
from caudal.ingest.writer.objects import put_rows
from caudal.lake.catalog import Replay
from caudal.lake.iceberg import open_publisher
from caudal.lake.iceberg.publisher import IcebergPublisher
from caudal.maintain import maintain

pytestmark = pytest.mark.slow


def history(stages):
    """Every change of sales, as rows of the lake."""
    schema = stages.catalog.tables()["sale"].contract.row_schema
    return stages.query.execute("SELECT * FROM sale_history ORDER BY _position").select(schema.names).cast(schema)


def replay(stages, changes):
    """Bring rows to the lake as the replay of quarantined records does: at their old position."""
    row = changes.to_pylist()[0]
    files = put_rows(stages.files, "shop", stages.catalog.tables()["sale"], 0, changes)
    stages.catalog.replay("sale", [Replay(row["_shard"], row["_position"], "delivered")], files, len(changes))


def edited(changes, **values):
    columns = {name: pa.array([value] * len(changes), changes.schema.field(name).type) for name, value in values.items()}
    return pa.table([columns.get(name, changes[name]) for name in changes.column_names], schema=changes.schema)


@pytest.mark.parametrize("then", ["put", "delete"])
def test_a_late_replay_revives_nothing_and_replaces_nothing_newer(stages, publisher, reader, then):
    stages.store.put("sale", sale(note="first"))
    publish(stages, publisher)
    first = history(stages)
    if then == "put":
        stages.store.put("sale", sale(note="newer"))
    else:
        stages.store.delete("sale", ("ann", 1))
    publish(stages, publisher)
    replay(stages, edited(first, note="late"))
    publish(stages, publisher)
    assert [row["note"] for row in reader.rows("sale")] == (["newer"] if then == "put" else [])
    assert len(reader.rows("sale_history")) == 3


def test_a_replay_of_a_key_that_nobody_has_shows(stages, publisher, reader):
    stages.store.put("sale", sale())
    publish(stages, publisher)
    replay(stages, edited(history(stages), line=7))
    publish(stages, publisher)
    assert [row["line"] for row in reader.rows("sale")] == [1, 7]


def merge(stages):
    """Put one file a partition in the place of all, as compaction does."""
    before = stages.catalog.snapshot("sale")
    files = put_rows(stages.files, "shop", before.table, 0, history(stages))
    stages.catalog.replay("sale", [], files, 0)
    with apsw.Connection(f"{stages.config.folder}/catalog.db") as db:
        db.executemany("UPDATE data_file SET removed = ? WHERE path = ?", [(before.version + 1, f.path) for f in before.files])
    return before


@pytest.mark.parametrize("published_before", [True, False])
def test_merged_files_take_the_place_of_theirs(stages, publisher, reader, published_before):
    for n in range(4):
        stages.store.put("sale", sale(line=n % 2, note=str(n)))
        deliver(stages)
        if published_before or n == 1:
            publish(stages, publisher)
    merge(stages)
    stages.store.put("sale", sale(line=1, note="after"))
    deliver(stages)
    snapshot = stages.catalog.snapshot("sale")
    found = {one.table: one for one in publisher.publish("sale")}
    assert len(snapshot.files) == 2 and found["sale_history"].added == 2
    assert found["sale"].added == found["sale"].removed == 1
    for name in ("sale", "sale_history"):
        assert reader.rows(name) == rows(stages, name)


def test_a_merge_between_looking_and_publishing_is_not_seen_yet(stages, publisher, reader):
    stages.store.put("sale", sale())
    publish(stages, publisher)
    stages.store.put("sale", sale(line=2))
    deliver(stages)
    before, expected = stages.catalog.snapshot("sale"), rows(stages, "sale_history")
    merge(stages)
    stages.store.put("sale", sale(line=3))
    deliver(stages)
    catalog = stages.catalog
    late = IcebergPublisher.open(stages.config, "shop", Older(catalog, before), stages.files)
    found = {one.table: one for one in late.publish("sale")}
    late.close()
    assert found["sale_history"].version == before.version and reader.rows("sale_history") == expected
    assert (found["sale_history"].added, found["sale_history"].removed) == (1, 0)
    publish(stages, publisher)


class Older:
    """A catalog as a publisher sees it that is slow: its snapshot is of a moment ago, all else of now."""

    def __init__(self, catalog, snapshot):
        self.catalog, self.before = catalog, snapshot

    def snapshot(self, table):
        return self.before

    def changed_files(self, table, since):
        return self.catalog.changed_files(table, since)


def test_files_merged_and_deleted_before_they_were_published_are_not_missed(stages, publisher, reader):
    stages.store.put("sale", sale())
    publish(stages, publisher)
    stages.store.put("sale", sale(line=2))
    deliver(stages)
    for file in merge(stages).files:
        stages.files.delete(file.path)
    publish(stages, publisher)
    assert [row["line"] for row in reader.rows("sale")] == [1, 2]


def test_maintenance_publishes_before_it_deletes_what_the_published_tables_name(tmp_path):
    config = Config(folder=str(tmp_path / "data"), maintain=MaintainConfig(keep_hours=0, keep_versions=1))
    with make_pipeline().open(config) as stages:
        for line in range(4):
            stages.store.put("sale", sale(line=line))
            deliver(stages)
            if line == 1:
                maintain(stages, now=time.time() + 9)
        done = maintain(stages, now=time.time() + 9)
        assert done.problems == [] and done.tables[0].merged > 1 and done.tables[0].objects_removed > 1
        reader, publisher = Reader(config), open_publisher(config, "shop", stages.catalog, stages.files)
        for name in ("sale", "sale_history"):
            assert reader.rows(name) == rows(stages, name) and len(reader.rows(name)) == 4
        assert [(one.added, one.removed) for one in publisher.publish("sale")] == [(0, 0), (0, 0)]
        reader.catalog.close()
        publisher.close()


def test_what_cannot_be_published_is_not_deleted(tmp_path, monkeypatch):
    config = Config(folder=str(tmp_path / "data"), maintain=MaintainConfig(keep_hours=0, keep_versions=1))
    with make_pipeline().open(config) as stages:
        for line in range(2):
            stages.store.put("sale", sale(line=line))
            deliver(stages)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "pyiceberg.catalog.sql", None)
            patch.delitem(sys.modules, "caudal.lake.iceberg.publisher", raising=False)
            done = maintain(stages, now=time.time() + 9)
        assert [(table.merged, table.objects_removed) for table in done.tables] == [(2, 0), (0, 0), (0, 0)]
        assert len(done.problems) == 1 and "needs the package pyiceberg" in done.problems[0]
        assert [table.objects_removed for table in maintain(stages, now=time.time() + 9).tables] == [2, 0, 0]


def test_a_version_that_was_expired_is_made_up_for(stages, publisher, reader):
    for line in range(3):
        stages.store.put("sale", sale(line=line))
        deliver(stages)
        if line == 0:
            publish(stages, publisher)
    with apsw.Connection(f"{stages.config.folder}/catalog.db") as db:
        db.execute("DELETE FROM snapshot WHERE since <> until AND id % (1 << 32) = 1")
    publish(stages, publisher)
    assert len(reader.rows("sale")) == 3


def test_rows_that_another_engine_took_from_a_history_or_added_to_it_are_put_right(stages, publisher, reader):
    stages.store.put_batch("sale", [sale(line=n) for n in range(3)])
    publish(stages, publisher)
    reader.table("sale_history").append(reader.table("sale_history").scan().to_arrow())
    stages.store.put("sale", sale(line=3))
    publish(stages, publisher)
    reader.table("sale_history").delete("line = 3")
    stages.store.put("sale", sale(line=4))
    publish(stages, publisher)


def test_a_killed_publishers_files_are_swept_when_they_are_old(stages, publisher, reader):
    stages.store.put("sale", sale())
    publish(stages, publisher)
    folder = stages.files.root / "iceberg" / "shop" / "sale"
    young, old = folder / "data" / "young.parquet", folder / "metadata" / "old.avro"
    for left in (young, old):
        left.write_bytes(b"half")
    os.utime(old, (1, 1))
    for path in folder.rglob("*.metadata.json"):
        os.utime(path, (1, 1))
    assert publisher.expire("sale") == 1
    assert young.exists() and not old.exists()
    publish(stages, publisher)


def test_old_snapshots_go_with_the_files_that_only_they_name(stages, publisher, reader):
    for n in range(8):
        stages.store.put("sale", sale(note=str(n)))
        publish(stages, publisher)
        publisher.expire("sale")
    for name in ("sale", "sale_history"):
        table = reader.table(name)
        assert len(table.metadata.snapshots) == 3
        for snapshot in table.metadata.snapshots:
            assert len(table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()) >= 1
    publish(stages, publisher)
    data = list((stages.files.root / "iceberg" / "shop" / "sale" / "data").rglob("*.parquet"))
    assert len(data) == 3  # of the three snapshots, one each
    assert all(Path(stages.files.location(file.path)).exists() for file in stages.catalog.snapshot("sale").files)


def test_what_is_written_is_private_and_on_disk(stages, publisher, reader, monkeypatch):
    synced = set()
    fsync = os.fsync

    def seen(handle):
        synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", seen)
    stages.store.put("sale", sale())
    publish(stages, publisher)
    written = [path for path in (stages.files.root / "iceberg").rglob("*") if path.is_file()]
    assert len(written) >= 10
    for path in written:
        assert str(path.with_name(f".{path.name}.half")) in synced and str(path.parent) in synced
        assert path.stat().st_mode & 0o077 == 0
    assert Path(stages.config.folder, "iceberg.db").stat().st_mode & 0o077 == 0


steps = st.lists(st.one_of(
    st.tuples(st.just("put"), st.integers(0, 5), st.integers(1, 3), st.sampled_from([None, "", "x"])),
    st.tuples(st.just("delete"), st.integers(0, 5)), st.tuples(st.sampled_from(["deliver", "publish", "merge", "expire"])),
), min_size=3, max_size=25)


@settings(max_examples=15)
@given(steps)
def test_whatever_happens_iceberg_shows_what_sql_shows(tmp_path_factory, steps):
    config = Config(folder=str(tmp_path_factory.mktemp("any")), iceberg=IcebergConfig(keep_snapshots=2))
    with make_pipeline().open(config) as stages:
        publisher = open_publisher(config, "shop", stages.catalog, stages.files)
        for name, *given_ in steps:
            if name == "put":
                line, day, note = given_
                stages.store.put("sale", sale(line=line, sold=day, note=note))
            elif name == "delete":
                stages.store.delete("sale", ("ann", *given_))
            elif name == "deliver":
                deliver(stages)
            elif name == "publish":
                publisher.publish("sale")
            elif name == "expire":
                publisher.expire("sale")
            elif stages.catalog.snapshot("sale").version:
                merge(stages)
        publish(stages, publisher)
        publisher.close()
