"""The example of the architecture on AWS, as its README runs it: two processes that share an address."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "aws_shop"
START_SECONDS, RUN_SECONDS = 60, 300


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def address(tmp_path):
    shutil.copy(EXAMPLE / "pipeline.py", tmp_path)
    gateway, api = free_port(), free_port()
    (tmp_path / "caudal.toml").write_text(f'[gateway]\nurl = "http://127.0.0.1:{gateway}"\n[endpoint]\nurl = "http://127.0.0.1:{api}"\n')
    with (tmp_path / "log.txt").open("w") as out:
        up = subprocess.Popen([sys.executable, "-m", "caudal.cli", "up", "--aws"], cwd=tmp_path, stdout=out, stderr=out)
    until = time.monotonic() + START_SECONDS
    while "AWS's APIs listen" not in (told := (tmp_path / "log.txt").read_text()):
        assert up.poll() is None and time.monotonic() < until, told
        time.sleep(0.1)
    yield f"http://127.0.0.1:{gateway}"
    up.terminate()
    assert up.wait(60) == 0


@pytest.mark.slow
def test_the_shop_on_aws_goes_from_purchases_to_recommendations(address):
    access = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    done = subprocess.run([sys.executable, EXAMPLE / "shop.py", "--name", "corner-shop"], env={**os.environ, **access},
                          capture_output=True, text=True, timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    told = dict(re.findall(r"^ *(\w+) +[0-9.]+ s  (.*)$", done.stdout, re.MULTILINE))
    assert told["buy"] == "2000 purchases written"
    assert told["wait_delivered"].startswith("2000 purchases in ")
    assert told["ask_athena"] == "fluid milk white only: 493 sold for 909.81; mainstream white bread: 178 sold for 244.27; bananas: 160 sold for 146.88"
    assert told["train"] == "trained on 60 households, 116 products, 2000 purchases"
    assert told["recommend"] == (
        "for household 934: eggs - large (923746), chicken breast boneless (916122), soft drinks 12/18&15pk can car (5569230), "
        "onions sweet (bulk&bag) (979707), lemons (847270)"
    )


def test_the_example_names_no_module_of_caudals():
    for name in ("shop.py", "to_csv.py", "train.py", "inference.py"):
        assert not re.search(r"^\s*(from|import) caudal", (EXAMPLE / name).read_text(), re.MULTILINE), name
