"""Iceberg tables follow the lake's, exactly, whatever happens between."""

import json
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from iceberg_shop import deliver, make_pipeline, publish, sale
from pyiceberg.expressions import EqualTo

from caudal.errors import BackendError, Conflict, MissingExtra, NotFound, UsageError
from caudal.lake.iceberg import open_publisher


def test_every_value_is_exact(stages, publisher, reader):
    exact = sale(amount=Decimal("1234567890123456789012345678.0123456789"), note="é\n\"',", raw=b"\x00\xff\n", tags=[{"a": 1.50}])
    empty = sale("bob", -(2**63), amount=None, note=None, raw=b"", tags=None, country="")
    stages.store.put_batch("sale", [exact, empty])
    publish(stages, publisher)
    ann, bob = reader.rows("sale")
    assert ann == {**exact, "tags": '[{"a":1.5}]', "sold_at": ann["sold_at"]}
    assert ann["sold_at"].astimezone(UTC) == datetime(2026, 1, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert (bob["line"], bob["amount"], bob["note"], bob["raw"], bob["tags"], bob["country"]) == (-(2**63), None, None, b"", None, "")


@pytest.mark.parametrize("country", ["", "x" * 40, "é" * 300, "long " * 2000, "a/b=c%2F\x00", "_", "null"])
def test_any_text_is_a_partitions_value(stages, publisher, reader, country):
    stages.store.put_batch("sale", [sale(country=country), sale(line=2, country="de")])
    publish(stages, publisher)
    for name in ("sale", "sale_history"):
        tasks = reader.table(name).scan(row_filter=EqualTo("country", country)).plan_files()
        assert [task.file.partition[1] for task in tasks] == [country]
        assert reader.table(name).scan(row_filter=EqualTo("country", country)).to_arrow()["line"].to_pylist() == [1]
    stages.store.put("sale", sale(country=country, note="new"))
    assert publish(stages, publisher)["sale"].removed == 1


@pytest.mark.parametrize("at", [datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
                                datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)])
def test_any_time_is_found_by_its_hidden_partition(stages, publisher, reader, at):
    stages.store.put_batch("sale", [sale(sold_at=at), sale(line=2)])
    publish(stages, publisher)
    for name in ("sale", "sale_history"):
        found = reader.table(name).scan(row_filter=EqualTo("sold_at", at.isoformat())).to_arrow()
        assert found["line"].to_pylist() == [1]


def test_the_schema_says_what_the_contract_says(stages, publisher, reader):
    publish(stages, publisher)
    table, history = reader.table("sale"), reader.table("sale_history")
    assert [str(field) for field in table.schema().fields] == [
        "1: customer: required string", "2: line: required long", "3: amount: optional decimal(38, 10)", "4: note: optional string",
        "5: raw: optional binary", "6: tags: optional string", "7: country: required string", "8: sold_at: required timestamptz",
    ]
    assert table.schema().identifier_field_ids == [1, 2]
    for one in (table, history):
        assert [(field.name, str(field.transform), field.source_id) for field in one.spec().fields] == [
            ("sold_at_day", "day", 8), ("country", "identity", 7),
        ]
    assert [str(field) for field in history.schema().fields[8:]] == [
        "9: _op: required string", "10: _reason: optional string", "11: _event_time: required timestamptz",
        "12: _event_id: required string", "13: _shard: required int", "14: _position: required long",
        "15: _rescued: optional string",
    ]


def test_the_history_is_the_lakes_own_files(stages, publisher, reader):
    stages.store.put_batch("sale", [sale(line=n, sold=1 + n % 2) for n in range(4)])
    publish(stages, publisher)
    named = {task.file.file_path.removeprefix("file://") for task in reader.table("sale_history").scan().plan_files()}
    assert named == {stages.files.location(file.path) for file in stages.catalog.snapshot("sale").files}


def test_what_is_published_is_not_published_again(stages, publisher):
    stages.store.put("sale", sale())
    first = publish(stages, publisher)
    again = publish(stages, publisher)
    assert first["sale"].added == first["sale_history"].added == 1
    for name, one in again.items():
        assert one == first[name]._replace(added=0, removed=0)


def test_the_summary_says_how_far_the_table_is(stages, publisher, reader):
    for line in range(3):
        stages.store.put("sale", sale(line=line))
        publish(stages, publisher)
    snapshot = stages.catalog.snapshot("sale")
    for name in ("sale", "sale_history"):
        found = reader.table(name).current_snapshot().summary.additional_properties
        assert int(found["caudal.version"]) == snapshot.version == 3
        assert {int(shard): at for shard, at in json.loads(found["caudal.positions"]).items()} == snapshot.positions


def test_l02_of_several_changes_of_a_key_the_latest_stays(stages, publisher, reader):
    for quantity in range(3):
        stages.store.put("sale", sale(note=str(quantity)))
    publish(stages, publisher)
    assert [row["note"] for row in reader.rows("sale")] == ["2"]
    assert len(reader.rows("sale_history")) == 3


def test_l04_a_change_to_null_is_a_change(stages, publisher, reader):
    stages.store.put("sale", sale(note="X"))
    publish(stages, publisher)
    stages.store.put("sale", sale(note=None))
    publish(stages, publisher)
    assert [row["note"] for row in reader.rows("sale")] == [None]


def test_l11_a_key_that_moves_to_another_partition_is_there_once(stages, publisher, reader):
    stages.store.put("sale", sale(sold=1, note="1"))
    publish(stages, publisher)
    stages.store.put("sale", sale(sold=2, note="2"))
    publish(stages, publisher)
    assert [(row["sold_at"].day, row["note"]) for row in reader.rows("sale")] == [(2, "2")]


def test_deleted_items_go_and_their_history_stays(stages, publisher, reader):
    stages.store.put_batch("sale", [sale(line=1), sale(line=2)])
    publish(stages, publisher)
    stages.store.delete("sale", ("ann", 1))
    publish(stages, publisher)
    assert [row["line"] for row in reader.rows("sale")] == [2]
    stages.store.delete("sale", ("ann", 2))
    publish(stages, publisher)
    assert reader.rows("sale") == [] and len(reader.rows("sale_history")) == 4


def test_only_files_that_hold_a_changed_key_are_written_anew(stages, publisher, reader):
    stages.store.put_batch("sale", [sale(line=n, sold=n) for n in range(1, 9)])
    publish(stages, publisher)
    before = {task.file.file_path for task in reader.table("sale").scan().plan_files()}
    stages.store.put("sale", sale(line=3, sold=3, note="new"))
    found = publish(stages, publisher)
    after = {task.file.file_path for task in reader.table("sale").scan().plan_files()}
    assert (found["sale"].added, found["sale"].removed, len(before & after), len(after)) == (1, 1, 7, 8)


def test_small_files_of_a_partition_are_merged_as_it_grows(stages, publisher, reader):
    for line in range(6):
        stages.store.put("sale", sale(line=line))
        publish(stages, publisher)
    assert len(list(reader.table("sale").scan().plan_files())) == 1
    assert len(reader.table("sale").current_snapshot().manifests(reader.table("sale").io)) <= 2


def test_a_new_column_is_there_with_its_own_id_and_null_before(config, stages, publisher, reader):
    stages.store.put("sale", sale())
    publish(stages, publisher)
    with make_pipeline({"channel": str | None}).open(config) as later:
        later.store.put("sale", sale(line=2, channel="web"))
        deliver(later)
        with_channel = open_publisher(config, "shop", later.catalog, later.files)
        publish(later, with_channel)
        with_channel.close()
    for name in ("sale", "sale_history"):
        assert [row["channel"] for row in reader.rows(name)] == [None, "web"]
    assert str(reader.table("sale").schema().find_field("channel")) == "9: channel: optional string"
    assert str(reader.table("sale_history").schema().find_field("channel")) == "16: channel: optional string"


def test_two_publishers_at_once_are_as_one(stages, publisher, reader):
    stages.store.put_batch("sale", [sale(line=n) for n in range(50)])
    publish(stages, publisher)
    others = [open_publisher(stages.config, "shop", stages.catalog, stages.files) for _ in range(4)]
    stages.store.put_batch("sale", [sale(line=n, note="new") for n in range(25, 75)])
    deliver(stages)
    errors = []

    def work(other):
        try:
            other.publish("sale")
        except Conflict as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        assert not thread.is_alive()
    for other in others:
        other.close()
    publish(stages, publisher)
    assert len(reader.rows("sale")) == 75 and len(reader.rows("sale_history")) == 100
    assert all("sale" in str(error) and error.hint == "publish again" for error in errors)


def test_a_table_that_another_engine_emptied_is_made_right_again(stages, publisher, reader):
    stages.store.put_batch("sale", [sale(line=n) for n in range(3)])
    publish(stages, publisher)
    for name in ("sale", "sale_history"):
        table = reader.table(name)
        with table.transaction() as tx:
            tx.overwrite(table.scan().to_arrow())  # the same rows in other files, as a compaction leaves them
    stages.store.put("sale", sale(line=1, note="new"))
    publish(stages, publisher)


def test_another_format_or_name_is_refused(stages, publisher):
    with pytest.raises(UsageError, match="plain is delivered as parquet"):
        publisher.publish("plain")
    with pytest.raises(NotFound, match="no table nothing"):
        publisher.publish("nothing")
    assert publisher.tables() == ["click", "sale"]


def test_without_the_package_the_extra_is_named(stages, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiceberg.catalog.sql", None)
    monkeypatch.delitem(sys.modules, "caudal.lake.iceberg.publisher", raising=False)
    with pytest.raises(MissingExtra, match="needs the package pyiceberg") as error:
        open_publisher(stages.config, "shop", stages.catalog, stages.files)
    assert error.value.hint == "pip install 'caudal[iceberg]'"


def test_files_that_are_gone_are_an_error_with_a_mend(stages, publisher, reader):
    stages.store.put("sale", sale())
    publish(stages, publisher)
    for path in (stages.files.root / "iceberg").rglob("*.metadata.json"):
        path.unlink()
    stages.store.put("sale", sale(note="new"))
    deliver(stages)
    with pytest.raises(BackendError, match="a file is gone") as error:
        publisher.publish("sale")
    assert "remove iceberg.db" in error.value.hint
