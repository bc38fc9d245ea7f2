"""kill -9 of the publisher while the writer goes on: the Iceberg tables show what SQL shows, and no row twice."""

import os
import random
import threading
import time
from pathlib import Path

import pytest
from killing import kill_again_and_again

from caudal.lake.iceberg import open_publisher
from caudal.loader import load_pipeline

PIPELINE = Path(__file__).with_name("iceberg_pipeline.py")
ROUNDS = max(2, int(os.environ.get("CAUDAL_FAULT_ROUNDS", "5")) // 2)
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6))))


def deliver(stages, stop):
    """Put and delete 50 items again and again, and deliver each change soon."""
    chance, writer, number = random.Random(SEED), stages.writer("sale"), 0
    while not stop.is_set():
        number += 1
        id = f"s{chance.randrange(50)}"
        if chance.random() < 0.2:
            stages.store.delete("sale", (id,))
        else:
            stages.store.put("sale", {"sale_id": id, "qty": number})
        writer.flush()
        time.sleep(0.002)
    writer.close()


def published_since(folder):
    """Gives the question whether something was published from now on."""
    def metadata():
        return {path.name for path in (folder / "iceberg").rglob("*.metadata.json")}

    before = metadata()
    return lambda: not metadata() <= before


@pytest.mark.slow
def test_a_publisher_that_is_killed_again_and_again_loses_and_repeats_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path))
    monkeypatch.setenv("CAUDAL_ICEBERG_EVERY_SECONDS", "0.001")
    monkeypatch.setenv("CAUDAL_ICEBERG_KEEP_SNAPSHOTS", "5")
    chance, stop = random.Random(SEED), threading.Event()
    pipeline, config = load_pipeline(PIPELINE)
    with pipeline.open(config) as stages:
        client = threading.Thread(target=deliver, args=(stages, stop))
        client.start()
        try:
            kill_again_and_again("publisher", PIPELINE, ROUNDS, lambda: published_since(tmp_path), 0.3, chance, SEED)
        finally:
            stop.set()
            client.join()
        published = _published(stages, config)
        for name, rows in published.items():
            shown = stages.query.execute(f"SELECT * FROM {name}").to_pylist()
            assert sorted(rows, key=repr) == sorted(shown, key=repr), f"{name}; CAUDAL_FAULT_SEED={SEED}"
        changes = len(published["sale_history"])
    with capsys.disabled():
        print(f"\npublisher killed {ROUNDS} times, CAUDAL_FAULT_SEED={SEED}: {changes} changes, all there, once")


def _published(stages, config):
    """Rows of each Iceberg table after a last publication."""
    from pyiceberg.catalog.sql import SqlCatalog

    publisher = open_publisher(config, "ice", stages.catalog, stages.files)
    publisher.publish("sale")
    publisher.expire("sale")
    publisher.close()
    reader = SqlCatalog("caudal", uri=f"sqlite:///{config.folder}/iceberg.db")
    found = {name: reader.load_table(f"ice.{name}").scan().to_arrow().to_pylist() for name in ("sale", "sale_history")}
    reader.close()
    return found
