"""kill -9 of writers, importers and those who put, all at once on one shop: nothing lost, nothing twice, nothing half."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from account import check, check_objects, check_products, flush
from importing import ITEMS, write_file

from caudal.ingest.importer import import_file
from caudal.loader import load_pipeline
from caudal.verify import verify

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "5"))
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
        self.let_work()
        for name in list(self.running):
            self.kill(name)

    def let_work(self):
        """Until all who put were told of a write in this life, and one file is there to import, however slow the machine."""
        waiting = {self.folder / f"{name}.log": size(self.folder / f"{name}.log") for name in self.running if name.startswith("putter")}
        waiting[self.folder / "products-0.csv"] = 0
        until = time.monotonic() + 120
        while any(size(path) <= before for path, before in waiting.items()):
            assert time.monotonic() < until, "those who put do nothing"
            time.sleep(0.1)


def size(path):
    return path.stat().st_size if path.exists() else 0


def imported(folder):
    """The number of the first file that is not known to be imported."""
    path = folder / "imported"
    return int(path.read_text() or 0) if path.exists() else 0


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
        found = verify(stages.catalog, stages.files, stages.stream, pipeline.name)
        assert found.problems == []
        count = check(stages, tmp_path)
        check_products(stages, files)
        check_objects(stages)
    with capsys.disabled():
        print(f"killed {dict(fire.starts)}, {count} acknowledged changes, {files * ITEMS} imported items: all there, once")
