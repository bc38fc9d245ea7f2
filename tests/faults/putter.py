"""Writes as a shop's server does until it is killed, and keeps a log of what was acknowledged: `putter.py FOLDER NAME SEED`."""

import json
import os
import random
import sys
import threading
import time
from pathlib import Path

from caudal.ingest.events import EventLog
from caudal.ingest.store import Delete, Put
from caudal.loader import load_pipeline
from caudal.pipeline import Stages

THREADS = 3
KEYS = 8
"""Items of each thread: few, so that each has a long history."""


def work(stages: Stages, log: int, name: str, chance: random.Random) -> None:
    """Put, update, delete and append; after each return, say so on the disk."""
    events = EventLog(stages.stream, stages.pipeline.tables["view"].contract)
    while True:
        key, other = (f"{name}-{n}" for n in chance.sample(range(KEYS), 2))
        qty, kind = chance.randrange(10**6), chance.choice(["put", "put", "update", "delete", "both", "events"])
        if kind == "put":
            done = [["sale", key, stages.store.put("sale", {"sale_id": key, "qty": qty}), qty]]
        elif kind == "update":
            done = [["sale", key, stages.store.update("sale", [key], {"qty": qty}), qty]]
        elif kind == "delete":
            done = [["sale", key, stages.store.delete("sale", [key]), None]]
        elif kind == "both":
            ids = stages.store.write([Put("sale", {"sale_id": key, "qty": qty}), Delete("sale", [other])])
            done = [["sale", key, ids[0], qty], ["sale", other, ids[1], None]]
        else:
            many = [{"sale_id": key, "number": qty + n} for n in range(chance.randrange(1, 4))]
            done = [["view", key, id, event["number"]] for id, event in zip(events.append(many), many, strict=True)]
        os.write(log, "".join(json.dumps(line) + "\n" for line in done if line[2] is not None).encode())
        os.fsync(log)
        time.sleep(chance.random() * 0.01)


def main(folder: Path, name: str, seed: str) -> None:
    """Write with a few threads until killed."""
    pipeline, config = load_pipeline(Path(__file__).with_name("pipeline.py"))
    with pipeline.open(config) as stages:
        assert stages.store.tables() and stages.stream.names()  # opened here, once, for all threads
        log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        threads = [
            threading.Thread(target=work, args=(stages, log, f"{name}-{n}", random.Random(f"{seed}-{n}")), daemon=True)
            for n in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        print("ready", flush=True)
        sys.stdin.read()
        os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
