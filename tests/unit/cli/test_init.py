"""The shop that `caudal init` writes."""

import ast
import re
from importlib.resources import files

import pytest

from caudal.cli.endings import run
from caudal.config import Config, load_config
from caudal.loader import load_pipeline


@pytest.fixture
def folder(tmp_path, capsys):
    assert run(["init", str(tmp_path / "shop")]) == 0
    return tmp_path / "shop"


def test_its_pipeline_is_sound_and_shows_every_kind_of_table(folder):
    pipeline, config = load_pipeline(folder / "pipeline.py")
    assert {name: table.keyed for name, table in pipeline.tables.items()} == {"product": True, "sale": True, "view": False}
    assert set(pipeline.recommenders) == {"for_you"} and pipeline.tables["sale"].contract.personal == {"note"}
    assert config.endpoint == Config().endpoint


def test_every_setting_in_its_comments_is_one_at_its_default(folder):
    text = (folder / "caudal.toml").read_text()
    (folder / "caudal.toml").write_text(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE))
    config = load_config(folder, {})
    assert (config.endpoint, config.trainer, config.stream, config.query) == (
        Config().endpoint, Config().trainer, Config().stream, Config().query
    )
    assert re.findall(r"^\[(\w+)\]", (folder / "caudal.toml").read_text(), re.MULTILINE) == ["stream", "query", "trainer", "endpoint"]


def test_nothing_is_overwritten_if_only_one_file_is_there(tmp_path, capsys):
    (tmp_path / "views.jsonl").write_text("mine")
    assert run(["init", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["views.jsonl"]


def test_its_files_are_in_the_package():
    names = {path.name for path in (files("caudal.cli") / "starter").iterdir()} - {"__pycache__"}
    assert names == {"pipeline.py", "caudal.toml", "products.csv", "sales.jsonl", "views.jsonl"}
    ast.parse((files("caudal.cli") / "starter" / "pipeline.py").read_text())
