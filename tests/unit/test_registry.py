"""A URL's scheme finds a back end, which is imported only then."""

import subprocess
import sys

import pytest

from caudal.errors import ConfigError, MissingExtra
from caudal.ingest.stream import BACKENDS, Stream, open_stream
from caudal.registry import find_backend, open_backend, path_of


def test_a_scheme_finds_its_class():
    assert find_backend(Stream, BACKENDS, "memory:x").__name__ == "MemoryStream"
    assert find_backend(Stream, BACKENDS, "sqlite:///x").__name__ == "SqliteStream"


@pytest.mark.parametrize("url", ["kafka://a", "memory", "", ":", "SQLITE:x", "http://[", "sqlite"])
def test_a_scheme_that_nobody_answers_to_is_refused_with_those_that_are_there(url):
    with pytest.raises(ConfigError, match="no such stream") as refused:
        open_stream(url)
    assert "sqlite or memory" in refused.value.hint


def test_a_missing_package_is_named_with_the_way_to_get_it():
    backends = {"kafka": "a_package_nobody_has.stream:KafkaStream"}
    with pytest.raises(MissingExtra, match="kafka needs the package a_package_nobody_has") as refused:
        open_backend(Stream, backends, "kafka://host/topic")
    assert refused.value.hint == "pip install 'caudal[kafka]'"


def test_a_back_end_is_imported_only_when_it_is_named():
    code = """
import sys
import caudal.ingest.store, caudal.ingest.stream, caudal.lake.files, caudal.lake.catalog
assert "apsw" not in sys.modules
assert not [name for name in sys.modules if name.startswith("caudal") and name.endswith((".sqlite", ".memory", ".local"))]
caudal.ingest.stream.open_stream("memory:")
assert "caudal.ingest.stream.memory" in sys.modules and "caudal.ingest.stream.sqlite" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("url,path", [
    ("sqlite:///var/shop/store.db", "/var/shop/store.db"), ("sqlite:/var/store.db", "/var/store.db"), ("file:lake", "lake"),
    ("file:./lake", "./lake"), ("file://lake/a", "lake/a"), ("file:", ""), ("file://", ""),
    ("sqlite:/home/c#/50%?/[x]/a b;c.db", "/home/c#/50%?/[x]/a b;c.db"),
    ("sqlite:a:b.db", "a:b.db"), ("file:/ä/", "/ä/"),
])
def test_a_path_is_taken_to_the_letter(url, path):
    assert path_of(url) == path
