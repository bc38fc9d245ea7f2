"""Configuration: defaults, then caudal.toml, then the environment; and nothing that is not known."""

from pathlib import Path

import msgspec
import pytest

import caudal.config
from caudal.config import SECTIONS, Config, load_config
from caudal.errors import ConfigError


def load(folder, toml="", **environment):
    (folder / "caudal.toml").write_text(toml, "utf-8")
    return load_config(folder, environment)


def test_without_a_file_everything_has_a_default(tmp_path):
    config = load_config(tmp_path, {})
    assert config == msgspec.structs.replace(Config(), folder=str(tmp_path / "caudal-data"))
    assert config.url("store") == config.url("stream") == f"sqlite:{tmp_path}/caudal-data/store.db"
    assert config.url("files") == f"file:{tmp_path}/caudal-data"


def test_sections_are_in_path_order():
    assert SECTIONS == (
        "store", "stream", "transform", "writer", "files", "catalog", "iceberg", "query", "trainer", "endpoint", "maintain", "gateway",
    )


def test_every_setting_says_what_it_is():
    source = Path(caudal.config.__file__).read_text()
    for section in SECTIONS:
        for field in msgspec.structs.fields(type(getattr(Config(), section))):
            assert f"    {field.name}: " in source
            assert (
                source.partition(f"class {type(getattr(Config(), section)).__name__}")[2]
                .partition(f"    {field.name}: ")[2]
                .splitlines()[1]
                .startswith('    """')
            )


def test_the_file_sets_and_the_environment_sets_over_it(tmp_path):
    toml = 'folder = "data"\n[writer]\nlease_seconds = 20\n[stream]\nshards = 8\n'
    config = load(tmp_path, toml, CAUDAL_WRITER_LEASE_SECONDS="30.5", CAUDAL_TRAINER_SEED="7", HOME="/x", CAUDALX="1")
    assert (config.writer.lease_seconds, config.stream.shards, config.trainer.seed) == (30.5, 8, 7)
    assert config.folder == str(tmp_path / "data")
    assert load(tmp_path, toml, CAUDAL_FOLDER="/elsewhere").url("catalog") == "sqlite:/elsewhere/catalog.db"


@pytest.mark.parametrize(
    "toml,environment,message,hint",
    [
        ("[query]\nthreads = 100000", {}, "query.threads = 100000: too many", "1024"),
        ("[trainer]\nseed = -1", {}, "trainer.seed = -1", "0 or more"),
        ("", {"CAUDAL_TRAINER_SEED": str(2**64)}, "trainer.seed", "4294967295"),
        ("", {"CAUDAL_QUERY_FRESH": "0"}, "CAUDAL_QUERY_FRESH=0: neither true nor false", "true or false"),
        ("[wirter]\nlease_seconds = 1", {}, "no setting wirter", "did you mean writer?"),
        ("[writer]\nlease_second = 1", {}, "no setting writer.lease_second", "did you mean writer.lease_seconds?"),
        ("folders = 1", {}, "no setting folders", "did you mean folder?"),
        ("[zzz]", {}, "no setting zzz", "there is folder"),
        ("", {"CAUDAL_WRITER_LEASE": "1"}, "no setting CAUDAL_WRITER_LEASE", "CAUDAL_WRITER"),
        ("", {"CAUDAL_WRTER_LEASE_SECONDS": "1"}, "no setting CAUDAL_WRTER_LEASE_SECONDS", "CAUDAL_WRITER_LEASE_SECONDS"),
        ("", {"CAUDAL_WRITER_LEASE_SECONDS": "soon"}, "CAUDAL_WRITER_LEASE_SECONDS=soon: not a number", "10.0"),
        ("", {"CAUDAL_STREAM_SHARDS": "4.5"}, "CAUDAL_STREAM_SHARDS=4.5: not a number", "4"),
        ("writer = 3", {}, "writer is a section", "[writer]"),
        ("writer = 3", {"CAUDAL_WRITER_LEASE_SECONDS": "1"}, "writer is a section", "[writer]"),
        ('[writer]\nlease_seconds = "10"', {}, "writer.lease_seconds: Expected `float`, got `str`", "configuration"),
        ("[stream]\nshards = true", {}, "stream.shards: Expected `int`", "configuration"),
        ("folder = 3", {}, "folder: Expected `str`", "configuration"),
        ("[stream]\nshards = 0", {}, "stream.shards = 0", "1 or more"),
        ("[stream]\nshards = 2000", {}, "stream.shards = 2000", "1024"),
        ("[writer]\nlease_seconds = nan", {}, "writer.lease_seconds = nan", "1 or more"),
        ("[writer]\nlease_seconds = inf", {}, "writer.lease_seconds = inf", "1 or more"),
        ("", {"CAUDAL_WRITER_LEASE_SECONDS": "-1"}, "writer.lease_seconds = -1.0", "1 or more"),
        ('[store]\nurl = "sqlite:other.db"', {}, "stream.url", "same URL"),
        ('[store]\nurl = "memory:a"\n[stream]\nurl = "memory:b"', {}, "stream.url", "same URL"),
        ("[writer\n", {}, "caudal.toml", "TOML"),
        ("a = 1\na = 2", {}, "caudal.toml", "TOML"),
        ("x = \udcff", {}, "caudal.toml", "TOML"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place_and_a_mend(tmp_path, toml, environment, message, hint):
    (tmp_path / "caudal.toml").write_bytes(toml.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path, environment)
    assert message in str(refused.value)
    assert hint in refused.value.hint


@pytest.mark.parametrize("text,expected", [("false", False), ("FALSE", False), ("true", True)])
def test_a_yes_or_no_is_read_from_the_environment(tmp_path, text, expected):
    assert load(tmp_path, CAUDAL_QUERY_FRESH=text).query.fresh is expected


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "caudal.toml").mkdir()
    with pytest.raises(ConfigError, match=r"caudal.toml"):
        load_config(tmp_path, {})


def test_a_folder_of_any_name_can_be_in_a_url(tmp_path):
    config = load(tmp_path, 'folder = "c# 50%?"')
    assert config.url("files") == f"file:{tmp_path}/c# 50%?"
