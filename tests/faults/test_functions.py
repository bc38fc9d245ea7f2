"""Users' functions that raise, hang, leak, take all memory or die, while the writer is killed too: each record is there once."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from account import flush, rows
from test_matrix import HERE, SEED

from caudal.ingest.store import Put
from caudal.ingest.writer.quarantine import from_bytes
from caudal.loader import load_pipeline
from caudal.verify import verify

ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "2"))
PIPELINE = HERE / "functions_pipeline.py"
ITEMS = 8
"""Written between two lives of the writer."""

REASONS = {
    "raises": "transform_raised", "hangs": "transform_timeout", "hogs": "transform_memory", "exits": "transform_crashed",
    "crashes": "transform_crashed", "leaks": "", "killed": "",
}


def workers_of(pid):
    """Workers that the process started and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"transform/child.py") for word in words) and b"%d" % pid in words:
            found.append(entry.name)
    return found


def live_and_be_killed(chance):
    """A life of the writer, until kill -9 at any moment; nothing of it is left."""
    with subprocess.Popen([sys.executable, "-m", "caudal.parts", "writer", str(PIPELINE)], stdin=subprocess.PIPE) as writer:
        time.sleep(chance.uniform(0.8, 3))
        assert writer.poll() is None
        writer.kill()
    until = time.monotonic() + 10
    while workers_of(writer.pid):
        assert time.monotonic() < until, "a worker outlives its writer"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("fault", REASONS)
def test_whatever_a_function_does_each_record_is_once_in_the_lake_or_in_quarantine(fault, tmp_path, monkeypatch):
    for name, value in {
        "STRUCK": f"{fault} {SEED}", "CAUDAL_FOLDER": str(tmp_path), "CAUDAL_TRANSFORM_SECONDS": "1" if fault == "hangs" else "60",
        "CAUDAL_TRANSFORM_MEMORY_MB": "400",
    }.items():
        monkeypatch.setenv(name, value)
    chance, told = random.Random(SEED), {}
    pipeline, config = load_pipeline(PIPELINE)
    is_poison = sys.modules[f"caudal_pipeline_{PIPELINE.stem}"].is_poison
    with pipeline.open(config) as stages:
        for life in range(ROUNDS):
            for n in range(life * ITEMS, (life + 1) * ITEMS):
                (id,) = stages.store.write([Put("sale", {"sale_id": f"s{n}", "qty": n})])
                told[id] = f"s{n}"
            live_and_be_killed(chance)
        flush(stages)
        assert verify(stages.catalog, stages.files).problems == []
        poison = {id for id, sale in told.items() if is_poison(sale)}
        for name in pipeline.tables["sale"].lake:
            files = [from_bytes(stages.files.get(file.path)) for file in stages.catalog.quarantine(name)]
            rejected = [record for file in files for record in file]
            delivered = Counter(row["_event_id"] for row in rows(stages, name))
            kept = Counter(json.loads(record.raw)["id"] for record in rejected)
            assert delivered == dict.fromkeys(told.keys() - poison, 1), f"CAUDAL_FAULT_SEED={SEED}"
            assert kept == dict.fromkeys(poison, 1), f"CAUDAL_FAULT_SEED={SEED}"
            assert {record.reason for record in rejected} <= {REASONS[fault]}
