"""kill -9 of writers, importers and those who put, all at once on one shop: nothing lost, nothing twice, nothing half."""

import gzip
import io
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from importing import ITEMS, write_file

from caudal.errors import Unavailable
from caudal.ingest.importer import import_file
from caudal.loader import load_pipeline
from caudal.verify import verify

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "20"))
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6))))


class Fire:
    """The processes of a shop, any of which may be killed and started again."""

    def __init__(self, folder, chance):
        self.folder, self.chance, self.running, self.starts, self.doomed = folder, chance, {}, Counter(), {}

    def start(self, name):
        self.starts[name] += 1
        if self.chance.random() < 0.25:
            self.doomed[name] = time.monotonic() + self.chance.random()  # while it starts
        kind = name.partition("-")[0]
        command = {
            "writer": ["-m", "caudal.parts", "writer", str(HERE / "pipeline.py")],
            "putter": [str(HERE / "putter.py"), str(self.folder), name, f"{SEED}-{self.starts[name]}"],
            "importer": [str(HERE / "importing.py"), str(self.folder), str(imported(self.folder))],
        }[kind]
        self.running[name] = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "CAUDAL_FOLDER": str(self.folder)},
        )
        os.set_blocking(self.running[name].stdout.fileno(), False)

    def is_doomed(self, name):
        """Whether its time has come: that starts to run when it works, unless it dies before."""
        if name not in self.doomed and (name.startswith("writer") or self.running[name].stdout.read()):
            self.doomed[name] = time.monotonic() + self.chance.choice([1, 3]) * self.chance.random() + name.startswith("writer")
        return time.monotonic() > self.doomed.get(name, float("inf"))

    def kill(self, name):
        process = self.running.pop(name)
        self.doomed.pop(name, None)
        assert process.poll() is None, f"{name} ended by itself with {process.returncode}"
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def burn(self, names, rounds):
        """Kill one or several at a time, at any moment of their lives, and start them again."""
        for name in names:
            self.start(name)
        done = 0
        while done < rounds:
            time.sleep(self.chance.random() * 0.2)
            victims = [name for name in names if self.is_doomed(name)]
            for name in victims:
                self.kill(name)
            for name in victims:
                self.start(name)
            done += bool(victims)
        time.sleep(3)
        for name in list(self.running):
            self.kill(name)


def imported(folder):
    """The number of the first file that is not known to be imported."""
    path = folder / "imported"
    return int(path.read_text() or 0) if path.exists() else 0


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


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_is_twice_whoever_is_killed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path))
    pipeline, config = load_pipeline(HERE / "pipeline.py")
    with pipeline.open(config) as stages:
        assert stages.store and stages.stream and stages.catalog and stages.files
    fire = Fire(tmp_path, random.Random(SEED))
    with capsys.disabled():
        print(f"\nfaults: {ROUNDS} rounds, CAUDAL_FAULT_SEED={SEED} ", end="", flush=True)
    fire.burn(["writer-1", "writer-2", "putter-1", "putter-2", "importer"], ROUNDS)
    with pipeline.open(config) as stages:
        files = imported(tmp_path) + 1
        for number in range(files):  # those that were done write nothing new
            import_file(write_file(tmp_path, number), pipeline.tables["product"].contract, stages.store, stages.stream)
        flush(stages)
        found = verify(stages.catalog, stages.files)
        assert found.problems == []
        count = check(stages, tmp_path)
        check_products(stages, files)
        check_objects(stages)
    with capsys.disabled():
        print(f"killed {dict(fire.starts)}, {count} acknowledged changes, {files * ITEMS} imported items: all there, once")
