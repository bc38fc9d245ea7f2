"""kill -9 of the AWS endpoint under load, and of its S3: what it acknowledged is there once, in order; nothing is left over."""

import io
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from aws_shop import HANDLER, Shop, client, read_lines, read_stream, set_up
from botocore.exceptions import BotoCoreError, ClientError
from test_kill_endpoint import free_port

PIPELINE = Path(__file__).with_name("pipeline.py")
ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "3"))
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6))))


class Life:
    """One process of the endpoint."""

    def __init__(self, port):
        began = time.monotonic()
        command = [sys.executable, "-m", "caudal.gateway", "gateway", str(PIPELINE)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        sts, until = client(port, "sts"), began + 60
        while True:
            assert self.process.poll() is None and time.monotonic() < until, f"it does not start; CAUDAL_FAULT_SEED={SEED}"
            try:
                sts.get_caller_identity()
                break
            except (BotoCoreError, ClientError):
                time.sleep(0.01)
        self.start_seconds = time.monotonic() - began
        self.start_work = cpu_seconds(self.process.pid)

    def end(self, signal):
        self.process.send_signal(signal)
        self.process.wait()
        self.process.stdin.close()


def cpu_seconds(pid):
    """Work of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def left_over(folder):
    """Processes that have to do with this folder: the endpoint's own and all that they started."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes(), str((entry / "cwd").readlink()).encode()
        except OSError:
            continue
        if any(str(folder).encode() in word for word in words):
            found[int(entry.name)] = words[0].replace(b"\0", b" ").decode()
    return found


def nothing_is_left(folder):
    until = time.monotonic() + 10
    while found := left_over(folder):
        assert time.monotonic() < until, f"CAUDAL_FAULT_SEED={SEED}: it left {found}"
        time.sleep(0.02)


def kill_s3(folder):
    (pid,) = [pid for pid, command in left_over(folder).items() if "weed" in command.partition(" ")[0]]
    os.kill(pid, signal.SIGKILL)


def wait_until(works, life):
    until = time.monotonic() + 60
    while not works():
        assert life.process.poll() is None and time.monotonic() < until, f"it does nothing; CAUDAL_FAULT_SEED={SEED}"
        time.sleep(0.005)


def delivered(port, shop):
    """Lines of both delivery streams, once all are there and no more come."""
    everything = dict(read_stream(port))
    until = time.monotonic() + 120
    while True:
        direct, piped = read_lines(port, "direct/"), read_lines(port, "piped/")
        if shop.firehose <= set(direct) and len(set(piped)) >= len(everything):
            time.sleep(1)  # whatever would come twice comes now
            return read_lines(port, "direct/"), read_lines(port, "piped/")
        assert time.monotonic() < until, f"{len(shop.firehose - set(direct))} and {len(everything) - len(piped)} are missing"
        time.sleep(0.2)


def check(port, shop):
    records = list(read_stream(port))
    assert shop.kinesis.items() <= dict(records).items(), "acknowledged records of the stream are lost"
    newest = {}
    for (shard, _), data in records:
        key, _, number = data.partition(" ")
        assert newest.get(key, (shard, "")) < (shard, number), f"{data} is out of order, or there twice"
        newest[key] = (shard, number)
    direct, piped = delivered(port, shop)
    assert not [line for line, times in Counter(direct).items() if times > 1], "records put directly are there twice"
    assert Counter(piped) == {f"seen {data}": 1 for _, data in records}
    assert read_lines(port, "failed/") == []
    s3 = client(port, "s3", 5)
    assert {key: s3.get_object(Bucket="lake", Key=key)["Body"].read().decode() for key in shop.objects} == shop.objects


@pytest.mark.slow
def test_what_the_aws_endpoint_acknowledged_survives_its_death(tmp_path, monkeypatch, capsys):
    port, chance = free_port(), random.Random(SEED)
    monkeypatch.setenv("CAUDAL_FOLDER", str(tmp_path))
    monkeypatch.setenv("CAUDAL_GATEWAY_URL", f"http://127.0.0.1:{port}")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("main.py", HANDLER)
    life = Life(port)
    set_up(port, archive.getvalue())
    shop, starts = Shop(port, SEED), []
    shop.start()
    try:
        for _ in range(ROUNDS):
            wait_until(shop.works(), life)
            time.sleep(chance.uniform(0, 1.0))  # the moment is left to chance
            if chance.random() < 0.2:
                kill_s3(tmp_path)
                continue
            life.end(signal.SIGKILL)
            nothing_is_left(tmp_path)
            life = Life(port)
            starts.append((life.start_work, life.start_seconds))
        wait_until(shop.works(), life)
    finally:
        shop.stop()
    check(port, shop)
    life.end(signal.SIGTERM)
    assert life.process.returncode == 0
    nothing_is_left(tmp_path)
    work, seconds = sorted(starts)[len(starts) // 2] if starts else (0.0, 0.0)  # `benchmarks/aws.py` measures it for itself
    with capsys.disabled():
        count = f"{len(shop.kinesis)} records, {len(shop.firehose)} deliveries and {len(shop.objects)} objects"
        print(f"\nAWS endpoint killed {len(starts)} times, its S3 {ROUNDS - len(starts)} times, CAUDAL_FAULT_SEED={SEED}: {count}"
              f" acknowledged, all there, once; started in {seconds:.2f} s ({work:.2f} s of a core)")
