"""kill -9 at random moments, in the writer, in applications, in the importer, in the endpoint: nothing lost, nothing twice.

CAUDAL_FAULT_ROUNDS sets the rounds, CAUDAL_FAULT_SEED repeats a run.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from caudal.ingest.stream import open_stream
from caudal.lake.catalog import open_catalog
from caudal.loader import load_pipeline
from caudal.verify import verify

sys.path.insert(0, str(Path(__file__).parent))
from shop_that_is_killed import TABLES, make_shop

VICTIM = Path(__file__).with_name("victim.py")
ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "20"))
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", random.SystemRandom().randrange(10**6)))
IMPORTED = 3000


class Scene:
    """A shop in a folder, and the processes that work on it."""

    def __init__(self, folder):
        self.port = free_port()
        self.path = make_shop(folder, self.port)
        self.log = folder / "acknowledged.log"
        self.log.touch()
        self.running = []

    def start(self, *words):
        process = subprocess.Popen([sys.executable, *map(str, words)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self.running.append(process)
        return process

    def writer(self):
        return self.start("-m", "caudal.parts", "writer", self.path)

    def putter(self, seed):
        return self.start(VICTIM, "putter", self.path, seed, self.log)

    def kill(self, process):
        assert process.poll() is None, process.stderr.read().decode()
        os.kill(process.pid, signal.SIGKILL)
        self.forget(process)

    def forget(self, process):
        process.wait(timeout=30)
        process.stdin.close()
        process.stderr.close()
        self.running.remove(process)

    def acknowledged(self):
        return [line.split() for line in self.log.read_text().splitlines() if len(line.split()) == 2]

    def delivered(self):
        """Commits of all tables so far."""
        catalog = open_catalog(f"sqlite:{self.path.parent}/caudal-data/catalog.db", "faulty")
        try:
            return sum(catalog.snapshot(name).version for name in catalog.tables())
        finally:
            catalog.close()

    def written(self):
        """Changes of sales so far."""
        stream = open_stream(f"sqlite:{self.path.parent}/caudal-data/store.db")
        try:
            return sum(stream.now("sale").values()) if "sale" in stream.names() else 0
        finally:
            stream.close()

    @staticmethod
    def wait_until(happened):
        until = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < until, "nothing happened for a minute"
            time.sleep(0.02)

    def check(self):
        """Deliver what is left; every acknowledged write is in the lake once, and nothing is there twice."""
        pipeline, config = load_pipeline(self.path)
        with pipeline.open(config) as stages:
            for name in TABLES:
                writer = stages.writer(name)
                writer.flush()
                writer.close()
            found = {
                name: stages.query.execute(f"SELECT _event_id FROM {name}_history")["_event_id"].to_pylist() for name in TABLES
            }
            for name, ids in found.items():
                assert len(ids) == len(set(ids)), f"{name} has {len(ids) - len(set(ids))} rows twice"
            assert set(found["sale"]) == set(found["sale_csv"])
            lost = [(id, table) for id, table in self.acknowledged() if id not in set(found[table])]
            assert lost == []
            for table, key in (("sale", "sale_id"), ("sale_csv", "sale_id"), ("product", "product_id")):
                lake = stages.query.execute(f"SELECT {key} FROM {table} ORDER BY {key}")[key].to_pylist()
                assert lake == sorted(item[key] for item in stages.store.scan(table.removesuffix("_csv")))
            assert verify(stages.catalog, stages.files).problems == []
            return list(stages.store.scan("sale"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def scene(tmp_path):
    print(f"CAUDAL_FAULT_SEED={SEED}")
    found = Scene(tmp_path)
    yield found
    for process in list(found.running):
        process.kill()
        found.forget(process)


def some_seconds(chance, most):
    time.sleep(chance.uniform(0, most))


@pytest.mark.slow
def test_writers_and_applications_are_killed(scene):
    chance = random.Random(SEED)
    for number in range(max(1, ROUNDS // 2)):
        # Two writers overlap: one holds the lease, the other takes over what the first leaves.
        written, delivered = len(scene.acknowledged()), scene.delivered()
        mortals = [scene.putter(SEED + number), scene.writer(), *(scene.writer() for _ in range(number % 2))]
        scene.wait_until(lambda: len(scene.acknowledged()) > written and scene.delivered() > delivered)
        some_seconds(chance, 0.6)
        for process in chance.sample(mortals, len(mortals)):
            scene.kill(process)
            some_seconds(chance, 0.1)
    assert len(scene.acknowledged()) > ROUNDS
    scene.check()


@pytest.mark.slow
def test_an_importer_is_killed_and_run_again(scene, tmp_path):
    chance = random.Random(SEED)
    file = tmp_path / "sales.jsonl"
    file.write_text("".join(
        json.dumps({"sale_id": f"i{n}", "quantity": n, "sold_at": "2026-01-01T00:00:00Z"}) + "\n" for n in range(IMPORTED)
    ))
    for _ in range(max(1, ROUNDS // 4)):
        process = scene.start(VICTIM, "importer", scene.path, file)
        written = scene.written()
        scene.wait_until(lambda: scene.written() > written or process.poll() is not None)
        some_seconds(chance, 0.1)
        if process.poll() is None:
            scene.kill(process)
        else:
            scene.forget(process)
    process = scene.start(VICTIM, "importer", scene.path, file)
    assert process.wait(timeout=60) == 0
    scene.forget(process)
    assert len(scene.check()) == IMPORTED
    pipeline, config = load_pipeline(scene.path)
    with pipeline.open(config) as stages:  # what an earlier run had written was not written again
        assert stages.query.execute("SELECT count(*) AS n FROM sale_history").to_pylist() == [{"n": IMPORTED}]


@pytest.mark.slow
def test_an_endpoint_is_killed_while_it_takes_writes(scene):
    chance = random.Random(SEED)
    stop = threading.Event()
    shop = threading.Thread(target=put_over_http, args=(scene, stop))
    shop.start()
    try:
        for _ in range(max(1, ROUNDS // 4)):
            process = scene.start("-m", "caudal.parts", "endpoint", scene.path)
            scene.wait_until(lambda: is_up(scene.port))
            time.sleep(0.05)
            some_seconds(chance, 0.5)
            scene.kill(process)
    finally:
        stop.set()
        shop.join()
    assert scene.acknowledged()
    scene.check()


def is_up(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def put_over_http(scene, stop):
    n = 0
    with scene.log.open("a") as log:
        while not stop.is_set():
            n += 1
            body = json.dumps({"sale_id": f"h{n % 50}", "quantity": n, "sold_at": "2026-01-01T00:00:00Z"})
            connection = http.client.HTTPConnection("127.0.0.1", scene.port, timeout=5)
            try:
                connection.request("PUT", "/v1/items/sale", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                if answer.status == 200:
                    log.write(f"{json.loads(answer.read())['event_id']} sale\n")
                    log.flush()
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
            finally:
                connection.close()
