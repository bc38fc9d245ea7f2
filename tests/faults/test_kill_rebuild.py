"""kill -9 of a rebuild, and of the writer beside it, again and again: no row lost, none twice, whatever was swapped."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from account import check, flush

from caudal.loader import load_pipeline
from caudal.maintain import maintain
from caudal.proof import prove
from caudal.rebuild import drop_rebuilt, rebuild, rebuilds, swap_rebuilt

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "3"))
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6))))


class Parts:
    """Processes that are started again when they are killed, or end as they should after a swap."""

    def __init__(self, folder):
        self.folder, self.running, self.starts, self.did = folder, {}, Counter(), Counter()

    def start(self, name):
        self.starts[name] += 1
        command = {
            "rebuild": [str(HERE / "rebuilding.py"), f"{SEED}-{self.starts[name]}"],
            "writer": ["-m", "caudal.parts", "writer", str(HERE / "pipeline.py")],
            "putter": [str(HERE / "putter.py"), str(self.folder), "putter-1", f"{SEED}-{self.starts[name]}"],
        }[name]
        self.running[name] = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        os.set_blocking(self.running[name].stdout.fileno(), False)

    def look(self, name):
        """Count what it printed; start it again if it ended."""
        process = self.running[name]
        self.did.update((process.stdout.read() or b"").decode().split())
        if process.poll() is not None:
            assert name == "writer", f"{name} ended by itself; CAUDAL_FAULT_SEED={SEED}"
            self.close(name)
            self.start(name)

    def kill(self, name):
        self.look(name)
        self.running[name].kill()
        self.running[name].wait()
        self.did.update((self.running[name].stdout.read() or b"").decode().split())
        self.close(name)

    def close(self, name):
        process = self.running.pop(name)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def wait_for_work(parts, chance, word):
    """Until a rebuild has said a word, and then a moment longer."""
    said, until = parts.did[word], time.monotonic() + 60
    moment: float | None = None
    while moment is None or time.monotonic() < moment:
        assert time.monotonic() < until, f"nothing is rebuilt; CAUDAL_FAULT_SEED={SEED}"
        for name in list(parts.running):
            parts.look(name)
        if moment is None and parts.did[word] > said:
            moment = time.monotonic() + 3 * chance.random() ** 2
        time.sleep(0.01)


@pytest.mark.slow
def test_no_row_is_lost_and_none_is_twice_whenever_a_rebuild_is_killed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path))
    chance, parts = random.Random(SEED), Parts(tmp_path)
    pipeline, config = load_pipeline(HERE / "pipeline.py")
    with pipeline.open(config) as stages:
        assert stages.store and stages.stream and stages.catalog and stages.files
    for name in ("putter", "writer"):
        parts.start(name)
    try:
        for number in range(ROUNDS):
            parts.start("rebuild")
            wait_for_work(parts, chance, "made" if number % 5 == 4 else "ready")
            parts.kill("rebuild")
            if chance.random() < 0.3:
                parts.kill("writer")
                parts.start("writer")
    finally:
        for name in list(parts.running):
            parts.running[name].kill()
            parts.close(name)
    with pipeline.open(config) as stages:
        flush(stages)
        for left in rebuilds(stages):
            if chance.random() < 0.5:
                rebuild(stages, left.table)
                swap_rebuilt(stages, left.table)
            else:
                drop_rebuilt(stages, left.table)
        assert rebuilds(stages) == []
        assert prove(stages.catalog, stages.files, stages.stream).problems == []
        count = check(stages, tmp_path)
        assert maintain(stages).problems == []
        assert prove(stages.catalog, stages.files, stages.stream).problems == []
    with capsys.disabled():
        print(f"\nfaults: CAUDAL_FAULT_SEED={SEED}, rebuilds killed {parts.starts['rebuild']} times, meanwhile {dict(parts.did)}, "
              f"{count} acknowledged changes: all there, once")
