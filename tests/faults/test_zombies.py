"""A writer that is stopped for longer than its lease, and wakes while another delivers: each record is there once."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from account import check, check_objects, flush

from caudal.loader import load_pipeline
from caudal.proof import prove

HERE = Path(__file__).parent
ROUNDS = min(50, int(os.environ.get("CAUDAL_FAULT_ROUNDS", "3")))
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6))))
LEASE_SECONDS = 1.0
PATIENCE_SECONDS = 8.0
"""A writer that is stopped while it holds the lock of the database itself lets nobody deliver: then it is woken."""
TABLES = ("sale", "sale_csv", "view")


def start(*command):
    return subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def start_writer():
    return start("-m", "caudal.parts", "writer", str(HERE / "pipeline.py"))


def comes_true(condition, seconds):
    """Whether it holds for every table within that time."""
    until = time.monotonic() + seconds
    while not all(condition(name) for name in TABLES):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.slow
def test_what_a_writer_does_that_wakes_after_its_lease_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path))
    monkeypatch.setenv("CAUDAL_WRITER_LEASE_SECONDS", str(LEASE_SECONDS))
    chance, taken_over = random.Random(SEED), 0
    pipeline, config = load_pipeline(HERE / "pipeline.py")
    with pipeline.open(config) as stages:
        assert stages.store and stages.stream
        running = [start(str(HERE / "putter.py"), str(tmp_path), "putter-1", str(SEED)), start_writer()]
        try:
            while taken_over < ROUNDS:
                at_work = comes_true(lambda name: stages.catalog.holder(name).owner and stages.catalog.snapshot(name).version, 60)
                assert at_work, f"nobody delivers; CAUDAL_FAULT_SEED={SEED}"
                time.sleep(chance.random() * 0.3)
                running[-1].send_signal(signal.SIGSTOP)  # amid whatever it does
                before = {name: stages.catalog.snapshot(name).positions for name in TABLES}
                running.append(start_writer())
                taken_over += comes_true(
                    lambda name, before=before: stages.catalog.snapshot(name).positions != before[name], PATIENCE_SECONDS)
                running[-2].send_signal(signal.SIGCONT)
                time.sleep(chance.random() * 0.5)
                woken = running.pop(-2)
                assert woken.poll() is None, "it ended by itself"
                woken.kill()
                woken.wait()
                woken.stdin.close()
        finally:
            for process in running:
                process.kill()
                process.wait()
                process.stdin.close()
        flush(stages)
        assert prove(stages.catalog, stages.files, stages.stream, pipeline.name).problems == []
        check(stages, tmp_path)
        check_objects(stages)
        assert stages.catalog.holder("sale").epoch > ROUNDS
