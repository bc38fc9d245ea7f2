"""Every stage under every fault of the machine: what was acknowledged is there once, and nobody is stuck."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from account import check, check_objects, flush
from importing import write_file
from strikes import FAULTS
from struck import ITEMS

from caudal.ingest.importer import import_file
from caudal.loader import load_pipeline
from caudal.verify import verify

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "5"))
SEED = os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6)))


def struck(folder, stage, fault, rounds=ROUNDS):
    """Let the shop work under the fault; whatever it says besides is a defect."""
    ran = subprocess.run(
        [sys.executable, str(HERE / "struck.py"), str(folder), stage, fault, SEED, str(rounds)],
        capture_output=True, text=True, timeout=30 + 5 * rounds, check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), f"CAUDAL_FAULT_SEED={SEED}: {ran.stderr}"


def settle(folder):
    """Open what is left on a healthy machine, finish what was begun, and take account of everything."""
    pipeline, config = load_pipeline(HERE / "pipeline.py")
    with pipeline.open(config) as stages:
        files = len(list(folder.glob("products-*.csv")))
        for number in range(files):  # those that were done write nothing new
            import_file(write_file(folder, number, ITEMS), pipeline.tables["product"].contract, stages.store, stages.stream)
        flush(stages)
        assert verify(stages.catalog, stages.files).problems == []
        assert check(stages, folder) > 0
        assert stages.query.execute("SELECT count(*) AS n FROM product_history")["n"].to_pylist() == [files * ITEMS]
        check_objects(stages)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", ["store", "writer", "importer"])
def test_what_was_acknowledged_is_there_once_under_every_fault(stage, fault, tmp_path, monkeypatch):
    monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path))
    struck(tmp_path, stage, fault)
    settle(tmp_path)


@pytest.mark.slow
def test_a_machine_that_restarts_goes_on_from_what_was_on_its_disk(tmp_path, monkeypatch):
    """The folder as it is at a moment, copied while all processes stand still, is what a restart would find."""
    chance, folder = random.Random(SEED), tmp_path / "running"
    folder.mkdir()
    command = [sys.executable, str(HERE / "struck.py"), str(folder), "store", "slow", SEED, "1000000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        for number in range(ROUNDS):
            while not any(log.stat().st_size for log in folder.glob("putter-*.log")) or chance.random() < 0.9:
                assert process.poll() is None, process.stderr.read().decode()
                time.sleep(0.05)
            process.send_signal(signal.SIGSTOP)
            shutil.copytree(folder, tmp_path / f"copy-{number}")
            process.send_signal(signal.SIGCONT)
        process.kill()
    for number in range(ROUNDS):
        monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path / f"copy-{number}"))
        settle(tmp_path / f"copy-{number}")
        shutil.rmtree(tmp_path / f"copy-{number}")
