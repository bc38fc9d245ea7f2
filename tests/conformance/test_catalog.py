"""Every catalog keeps the promises of its port."""

import os
import subprocess
import sys
from pathlib import Path

from caudal.lake.catalog import BACKENDS
from caudal.lake.catalog.owner import is_dead, new_owner
from caudal.testing import CatalogSuite


class TestMemoryCatalog(CatalogSuite):
    scheme = "memory"
    processes = False

    def url(self, folder: Path) -> str:
        return f"memory:{folder}"


class TestSqliteCatalog(CatalogSuite):
    scheme = "sqlite"

    def url(self, folder: Path) -> str:
        return f"sqlite:{folder}/catalog.db"


def test_every_back_end_has_a_suite():
    assert {suite.scheme for suite in CatalogSuite.__subclasses__()} == set(BACKENDS)


def test_an_owner_is_new_each_time_and_alive_while_its_process_is():
    owners = [new_owner() for _ in range(3)]
    assert len(set(owners)) == 3
    assert not any(is_dead(owner) for owner in owners)


def test_an_owner_is_dead_when_its_process_is_gone_or_another_has_its_number():
    gone = subprocess.run(
        [sys.executable, "-c", "from caudal.lake.catalog.owner import new_owner; print(new_owner())"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.strip()
    assert is_dead(gone)
    node, _, started, serial = gone.split("/")
    assert is_dead(f"{node}/{os.getpid()}/{started}/{serial}")


def test_an_owner_elsewhere_or_of_another_shape_may_be_alive():
    assert not any(map(is_dead, ["elsewhere/1/1/1", "me", "", "a/b", "a/b/c/d/e"]))
