"""The account of a shop that was hurt: what was acknowledged is in the lake, once, and the latest state is the store's."""

import gzip
import io
import json
import time
from collections import Counter
from pathlib import Path

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from importing import ITEMS
from pyiceberg.catalog.sql import SqlCatalog

from caudal.errors import Unavailable
from caudal.ingest.writer.audit import read_audit
from caudal.lake.iceberg import open_publisher


def acknowledged(folder):
    """Event id to (table, key, value) of all that the putters were told is done."""
    done = {}
    for path in folder.glob("putter-*.log"):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                table, key, id, value = json.loads(line)
                done[id] = (table, key, value)
    return done


def rows(stages, name):
    """Every row of a table of the lake, in the order in which each key's changes happened."""
    found, lake_table = [], stages.catalog.tables()[name]
    for file in stages.catalog.snapshot(name).files:
        data = stages.files.get(file.path)
        if lake_table.format == "parquet":
            found += pq.read_table(io.BytesIO(data)).to_pylist()
        else:
            types = pacsv.ConvertOptions(column_types=lake_table.contract.row_schema)
            found += pacsv.read_csv(io.BytesIO(gzip.decompress(data)), convert_options=types).to_pylist()
    return sorted(found, key=lambda row: (row["_shard"], row["_position"]))


def flush(stages):
    for table in stages.pipeline.tables.values():
        for name in table.lake:
            writer, until = stages.writer(name), time.monotonic() + 60
            while True:
                try:
                    writer.flush()
                    break
                except Unavailable:  # a writer of before, whose end is not yet known
                    assert time.monotonic() < until
                    time.sleep(0.05)
            writer.close()


def check(stages, folder):
    """Everything acknowledged is there once; nothing is there twice; the latest state is the store's."""
    told = acknowledged(folder)
    assert told, "nothing was acknowledged"
    for name in ("sale", "sale_csv", "view"):
        found = rows(stages, name)
        times = Counter(row["_event_id"] for row in found)
        assert not [id for id, count in times.items() if count > 1], f"{name}: rows twice"
        lost = {id for id, (table, *_) in told.items() if table == name.removesuffix("_csv")} - times.keys()
        assert not lost, f"{name}: {len(lost)} acknowledged changes lost"
        for row in found:
            if row["_event_id"] in told and row["_op"] != "delete":
                assert (row["sale_id"], row.get("qty", row.get("number"))) == told[row["_event_id"]][1:]
    current = {row["sale_id"]: row["qty"] for row in stages.store.scan("sale")}
    for name in ("sale", "sale_csv"):
        latest = {row["sale_id"]: row for row in rows(stages, name)}
        assert {key: row["qty"] for key, row in latest.items() if row["_op"] != "delete"} == current
        shown = stages.query.execute(f"SELECT sale_id, qty FROM {name}").to_pylist()
        assert {row["sale_id"]: row["qty"] for row in shown} == current
        assert len(shown) == len(current)
    return len(told)


def check_products(stages, files):
    found = Counter(row["product_id"] for row in rows(stages, "product"))
    assert found == Counter(f"p{n}" for n in range(files * ITEMS))


def check_objects(stages):
    """Whatever lies in the lake, committed or not, is whole."""
    for info in stages.files.list("lake/"):
        data = stages.files.get(info.path)
        assert len(pq.read_table(io.BytesIO(data)) if info.path.endswith(".parquet") else gzip.decompress(data).splitlines()) > 0
    assert not [path for path in Path(stages.config.folder).rglob("*") if path.suffix in (".tmp", ".part")]


def check_notes(stages, folder):
    """Each acknowledged note is a row, or was given up with the reason why: one of both, once; edits keep the original."""
    told = {key for table, key, _ in acknowledged(folder).values() if table == "note"}
    shown = Counter(row["note_id"] for row in rows(stages, "note"))
    audit = [(one.outcome, json.loads(one.original)["row"]["note_id"]) for one in read_audit(stages.catalog, stages.files, "note")]
    given_up = Counter(note for outcome, note in audit if outcome == "discarded")
    assert not [note for note, times in (shown + given_up).items() if times > 1], "notes twice"
    assert not told - (shown + given_up).keys(), "acknowledged notes lost"
    edited = {note for outcome, note in audit if outcome == "delivered"}
    assert {row["number"] for row in rows(stages, "note") if row["note_id"] in edited} <= {7}
    assert edited | given_up.keys() == {note for note in (shown + given_up) if int(note.rpartition("-")[2]) % 2}


def check_models(stages):
    """Every version that is listed is whole, and there is a live one if there is any."""
    versions = stages.models.versions("clicked")
    for version in versions:
        stages.models.load("clicked", version.card.version)
    assert (stages.models.live("clicked") is None) == (not versions)


def check_published(stages):
    """What a last publication shows in Iceberg is what the lake shows."""
    publisher = open_publisher(stages.config, stages.pipeline.name, stages.catalog, stages.files)
    publisher.publish("sale_iceberg")
    publisher.expire("sale_iceberg")
    publisher.close()
    reader = SqlCatalog("caudal", uri=f"sqlite:///{stages.config.folder}/iceberg.db")
    for name in ("sale_iceberg", "sale_iceberg_history"):
        published = reader.load_table(f"{stages.pipeline.name}.{name}").scan().to_arrow().to_pylist()
        shown = stages.query.execute(f"SELECT * FROM {name}").to_pylist()
        assert sorted(published, key=repr) == sorted(shown, key=repr), f"{name}: Iceberg differs"
    reader.close()
