"""Every stage under every fault of the machine: what was acknowledged is there once, and nobody is stuck."""

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from account import check, check_models, check_notes, check_objects, check_published, flush
from importing import write_file
from strikes import FAULTS, READING
from struck import ITEMS, PIPELINE, replay_notes, settings

from caudal.ingest.importer import import_file
from caudal.ingest.writer.quarantine import EVERY
from caudal.loader import load_pipeline
from caudal.maintain import maintain
from caudal.proof import prove

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "5"))
SEED = os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6)))


@pytest.fixture(scope="module")
def struck():
    """Lets a shop work under a fault, in a process; whatever it says besides is a defect."""
    command = [sys.executable, str(HERE / "struck.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        def work(folder, stage, fault):
            (folder / "stderr").touch()
            process.stdin.write(json.dumps([str(folder), stage, fault, SEED, ROUNDS]).encode() + b"\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], 120 + 20 * ROUNDS)[0]:
                os.killpg(process.pid, signal.SIGKILL)  # the other cells fail too: no answer is taken for another's
            told, said = process.stdout.readline(), (folder / "stderr").read_text()
            assert (told, said) == (b"0\n", ""), f"CAUDAL_FAULT_SEED={SEED}: {said}"

        yield work
        os.killpg(process.pid, signal.SIGKILL)


def settle(folder, monkeypatch):
    """Open what is left on a healthy machine, finish what was begun, and take account of everything."""
    for name, value in settings(folder).items():
        monkeypatch.setenv(name, value)
    pipeline, config = load_pipeline(PIPELINE)
    with pipeline.open(config) as stages:
        files = len(list(folder.glob("products-*.csv")))
        for number in range(files):  # those that were done write nothing new
            import_file(write_file(folder, number, ITEMS), pipeline.tables["product"].contract, stages.store, stages.stream)
        flush(stages)
        replay_notes(stages, EVERY)
        for _ in range(2):
            assert prove(stages.catalog, stages.files, stages.stream, pipeline.name).problems == []
            assert check(stages, folder) > 0
            check_notes(stages, folder)
            shown = stages.query.execute("SELECT count(*) AS n FROM product_history")["n"].to_pylist()
            assert shown == [files * ITEMS]
            check_objects(stages)
            check_models(stages)
            assert maintain(stages).problems == []
        check_published(stages)


CELLS = [
    (stage, fault) for stage in ("store", "writer", "importer", "replay", "publisher", "trainer", "maintainer", "query")
    for fault in (READING if stage == "query" else FAULTS)
    if (stage, fault) != ("importer", "unreadable")  # it reads nothing of ours from the disk
]


@pytest.mark.slow
@pytest.mark.parametrize("stage,fault", CELLS)
def test_what_was_acknowledged_is_there_once_under_every_fault(struck, stage, fault, tmp_path, monkeypatch):
    struck(tmp_path, stage, fault)
    settle(tmp_path, monkeypatch)


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
        shutil.rmtree(folder)
        (tmp_path / f"copy-{number}").rename(folder)  # Iceberg's metadata names its files by where they lie
        settle(folder, monkeypatch)
