"""kill -9 of whoever looks after the lake, and of writers beside it: no row lost, none twice, nothing left behind."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from account import check, check_objects, flush

from caudal.lake import current
from caudal.lake.objects import table_folders
from caudal.loader import load_pipeline
from caudal.maintain import maintain
from caudal.proof import prove

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "3"))
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6))))
TABLES = ("sale", "sale_csv", "view", "product")
SETTINGS = {"FILE_MB": "0.02", "KEEP_HOURS": "0", "KEEP_VERSIONS": "1", "ORPHAN_HOURS": "0"}
"""Everything is merged, expired and removed at once, even what a live writer is about to commit: that one writes it again."""


class Workers:
    """Processes that are killed and started again."""

    def __init__(self, folder, chance):
        self.folder, self.chance, self.running, self.kills, self.did = folder, chance, {}, Counter(), Counter()
        self.ready, self.longest, self.half = set(), 3.0, {}

    def start(self, name):
        command = {
            "maintainer": [str(HERE / "maintaining.py")],
            "writer": ["-m", "caudal.parts", "writer", str(HERE / "pipeline.py")],
            "putter": [str(HERE / "putter.py"), str(self.folder), name, f"{SEED}-{self.kills[name]}"],
        }[name.partition("-")[0]]
        self.running[name] = subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.running[name].stdout.fileno(), False)
        self.ready.discard(name)
        self.half[name] = b""  # of a line

    def hear(self, name):
        """Count what a maintainer says that it did."""
        *lines, self.half[name] = (self.half[name] + (self.running[name].stdout.read() or b"")).split(b"\n")
        for line in lines:
            if line == b"ready":
                self.ready.add(name)
            elif line.count(b" ") == 3:
                self.did["rounds"] += 1
                self.did.update(dict(zip(("merged", "expired", "orphans", "base keys"), map(int, line.split()), strict=True)))
        assert self.running[name].poll() is None, f"{name} ended by itself with {self.running[name].returncode}"

    def wait(self, name, until):
        """Wait for what a maintainer says."""
        end = time.monotonic() + 120
        while not until():
            self.hear(name)
            assert time.monotonic() < end, f"{name} does nothing"
            time.sleep(0.01)

    def find_its_pace(self, name):
        """Wait until a maintainer has merged and expired; a life is as long as three of its rounds, on however busy a machine."""
        self.wait(name, lambda: name in self.ready)
        began = time.monotonic()
        self.wait(name, lambda: self.did["merged"] and self.did["expired"])
        self.longest = max(self.longest, 3 * (time.monotonic() - began) / self.did["rounds"])

    def work_for_a_while(self, name):
        """Wait until a maintainer is in the midst of its work."""
        self.wait(name, lambda: name in self.ready)
        time.sleep(self.longest * self.chance.random() ** 2)

    def kill(self, name):
        self.hear(name)
        process = self.running.pop(name)
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        self.kills[name] += 1

    def end(self):
        for name in list(self.running):
            self.kill(name)


@pytest.mark.slow
def test_no_row_is_lost_and_none_is_twice_whenever_maintenance_is_killed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path))
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"CAUDAL_MAINTAIN_{name}", value)
    monkeypatch.setattr(current.is_due, "__defaults__", (current.SHARE, 5))
    pipeline, config = load_pipeline(HERE / "pipeline.py")
    with pipeline.open(config) as stages:
        assert stages.store and stages.stream and stages.catalog and stages.files
    workers = Workers(tmp_path, random.Random(SEED))
    for name in ("putter-1", "writer-1", "maintainer-1", "maintainer-2"):
        workers.start(name)
    try:
        workers.find_its_pace("maintainer-1")
        for number in range(ROUNDS):
            name = f"maintainer-{number % 2 + 1}"
            workers.work_for_a_while(name)
            victims = [name, *(["writer-1"] if workers.chance.random() < 0.3 else [])]
            for victim in victims:
                workers.kill(victim)
            for victim in victims:
                workers.start(victim)
    finally:
        workers.end()
    with pipeline.open(config) as stages:
        flush(stages)
        assert prove(stages.catalog, stages.files, stages.stream, pipeline.name).problems == []
        count = check(stages, tmp_path)
        done = maintain(stages)
        assert done.problems == []
        assert maintain(stages).problems == []
        for name in TABLES:
            there = {info.path for folder in table_folders(pipeline.name, name) for info in stages.files.list(folder)}
            assert there == {file.path for file in stages.catalog.named(name)}, f"{name}: objects that nothing names"
            assert len([file for file in stages.catalog.snapshot(name).files if file.bytes < 20_000]) <= 2
        check_objects(stages)
        assert prove(stages.catalog, stages.files, stages.stream, pipeline.name).problems == []
        assert check(stages, tmp_path) == count
    with capsys.disabled():
        print(f"\nfaults: CAUDAL_FAULT_SEED={SEED}, killed {dict(workers.kills)}, meanwhile {dict(workers.did)}, "
              f"{count} acknowledged changes: all there, once")
