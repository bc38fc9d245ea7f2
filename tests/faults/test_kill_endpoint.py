"""kill -9 of the endpoint while it takes writes: what it answered with 200 is in the lake once."""

import http.client
import json
import os
import random
import socket
import threading
import time
from pathlib import Path

import pytest
from killing import kill_again_and_again

from caudal.loader import load_pipeline
from caudal.verify import verify

PIPELINE = Path(__file__).with_name("pipeline.py")
ROUNDS = max(1, int(os.environ.get("CAUDAL_FAULT_ROUNDS", "20")) // 5)
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6))))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_up(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answered_since(port, acknowledged):
    """Gives the question whether it is up and has acknowledged something from now on."""
    before = len(acknowledged)
    return lambda: is_up(port) and len(acknowledged) > before


def put(port, number, acknowledged):
    """One request; says whether it was answered. What is answered with 200 is noted with its event id."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        body = json.dumps({"sale_id": f"h{number % 50}", "qty": number})
        connection.request("PUT", "/v1/items/sale", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        if answer.status == 200:
            acknowledged[json.loads(answer.read())["event_id"]] = number
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def shop(port, stop, acknowledged):
    number = 0
    while not stop.is_set():
        number += 1
        if not put(port, number, acknowledged):
            time.sleep(0.01)


@pytest.mark.slow
def test_what_the_endpoint_acknowledged_survives_its_death(tmp_path, monkeypatch, capsys):
    port, chance, acknowledged, stop = free_port(), random.Random(SEED), {}, threading.Event()
    monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path))
    monkeypatch.setenv("CAUDAL_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    client = threading.Thread(target=shop, args=(port, stop, acknowledged))
    client.start()
    try:
        kill_again_and_again("endpoint", PIPELINE, ROUNDS, lambda: answered_since(port, acknowledged), 0.4, chance, SEED)
    finally:
        stop.set()
        client.join()
    pipeline, config = load_pipeline(PIPELINE)
    with pipeline.open(config) as stages:
        writer = stages.writer("sale")
        writer.flush()
        writer.close()
        found = stages.query.execute("SELECT _event_id, qty FROM sale_history").to_pylist()
        ids = {row["_event_id"]: row["qty"] for row in found}
        assert len(ids) == len(found), "rows twice"
        assert {id: ids.get(id) for id in acknowledged} == acknowledged
        assert verify(stages.catalog, stages.files, stages.stream, pipeline.name).problems == []
    with capsys.disabled():
        print(f"\nendpoint killed {ROUNDS} times, CAUDAL_FAULT_SEED={SEED}: {len(acknowledged)} acknowledged writes, all there, once")
