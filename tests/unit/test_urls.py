"""A URL that nobody answers to is refused when the configuration is read, before anything is opened."""

import subprocess
import sys
from importlib.metadata import requires

import msgspec
import pytest

from caudal import registry
from caudal.config import SECTIONS, Config
from caudal.errors import ConfigError, MissingExtra
from caudal.loader import load_pipeline
from caudal.pipeline import Pipeline
from caudal.urls import SCHEMES, checked


def test_every_url_there_is_is_checked():
    assert set(SCHEMES) == {name for name in SECTIONS if hasattr(getattr(Config(), name), "url")}


@pytest.mark.parametrize("section", SCHEMES)
def test_an_unknown_scheme_is_refused_with_its_setting_and_those_there_are(section):
    given = msgspec.structs.replace(getattr(Config(), section), url="carrier-pigeon://loft")
    with pytest.raises(ConfigError, match=rf"{section}\.url: carrier-pigeon://loft: no such {section}") as refused:
        checked(msgspec.structs.replace(Config(), **{section: given}))
    assert next(iter(SCHEMES[section])) in refused.value.hint


def test_a_pipeline_is_neither_loaded_nor_opened_with_one(tmp_path, monkeypatch):
    (tmp_path / "pipeline.py").write_text("from caudal import Pipeline\nshop = Pipeline('shop')\n")
    (tmp_path / "caudal.toml").write_text("[writer]\nurl = 'pigeon:'\n")
    with pytest.raises(ConfigError, match=r"writer\.url: pigeon:"):
        load_pipeline(tmp_path / "pipeline.py")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"writer\.url: pigeon:"):
        Pipeline("shop").open()


def test_a_known_one_whose_package_is_missing_names_its_extra(monkeypatch):
    lines = ['a-package-nobody-has>=1; extra == "sqlite"', "pytest; extra == 'memory'", *(requires("caudal") or [])]
    monkeypatch.setattr(registry, "requires", lambda name: lines)
    registry._extras.cache_clear()
    try:
        with pytest.raises(MissingExtra, match=r"store\.url: sqlite needs the package a-package-nobody-has") as refused:
            checked(Config())
        assert refused.value.hint == "pip install 'caudal[sqlite]'"
        assert registry.check_url("stream", ("memory",), "memory:") == "memory"
    finally:
        registry._extras.cache_clear()


def test_nothing_of_a_back_end_is_imported_to_tell():
    code = """
import sys
from caudal.config import Config
from caudal.urls import checked
checked(Config())
ours = [name for name in sys.modules if name.startswith("caudal")]
assert not [name for name in ours if name.endswith((".memory", ".local", ".inprocess", ".http", ".duckdb"))], ours
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
