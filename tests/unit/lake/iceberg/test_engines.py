"""Other engines read the same values from the published tables."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import pytest
from iceberg_engines import plainly

from caudal import Delivery, Digits, Pipeline, day, identity
from caudal.config import Config
from caudal.lake.iceberg import open_publisher

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("iceberg_engines.py")
PYTHONS = {"sail": sys.executable, "duckdb": os.environ.get("DUCKDB_ICEBERG_PYTHON", sys.executable)}
"""DuckDB's extension is on PyPI for DuckDB 1.5, and this environment has 2: name a Python that has both."""

NEEDS = {
    "sail": find_spec("pysail") is not None and find_spec("pyspark") is not None,
    "duckdb": "DUCKDB_ICEBERG_PYTHON" in os.environ or find_spec("duckdb_extension_iceberg") is not None,
}
engines = [
    pytest.param(name, marks=pytest.mark.skipif(not there, reason=f"{name} cannot read Iceberg tables here"))
    for name, there in NEEDS.items()
]

shop = Pipeline("shop")


@shop.table(
    key=("id",), partition=(day("at"), identity("country")), deliveries=[Delivery("iceberg")],
)
class Exact:
    id: str
    wide: Annotated[Decimal, Digits(38, 10)] | None
    narrow: Annotated[Decimal, Digits(9, 2)] | None
    number: int | None
    ratio: float | None
    flag: bool | None
    raw: bytes | None
    tags: list | None
    birthday: date | None
    country: str
    at: datetime


ROWS = [
    {"id": "a", "wide": Decimal("1234567890123456789012345678.0123456789"), "narrow": Decimal("-9999999.99"), "number": 2**63 - 1,
     "ratio": 0.1, "flag": True, "raw": b"\x00\xff", "tags": ["a", None, {"b": 1}], "birthday": date(1969, 12, 31), "country": "é/%2F x",
     "at": datetime(2026, 1, 1, 23, 59, 59, 999999, tzinfo=UTC)},
    {"id": "", "wide": Decimal("-0.0000000001"), "narrow": Decimal("0"), "number": -(2**63), "ratio": -0.0, "flag": False, "raw": b"",
     "tags": [], "birthday": date(9999, 12, 31), "country": "", "at": datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)},
    {"id": "null", "wide": None, "narrow": None, "number": None, "ratio": None, "flag": None, "raw": None, "tags": None,
     "birthday": None, "country": "de", "at": datetime(2026, 1, 1, tzinfo=UTC)},
    {"id": "gone", "wide": None, "narrow": None, "number": 1, "ratio": None, "flag": None, "raw": None, "tags": None,
     "birthday": None, "country": "de", "at": datetime(2026, 1, 1, tzinfo=UTC)},
]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Iceberg table to its location and to the rows that caudal's SQL shows."""
    with shop.open(Config(folder=str(tmp_path_factory.mktemp("exact")))) as stages:
        publisher = open_publisher(stages.config, "shop", stages.catalog, stages.files)
        writer = stages.writer("exact")
        for row in ROWS:
            stages.store.put("exact", {**row, "narrow": Decimal("1.00")})
        writer.flush()
        publisher.publish("exact")
        for row in ROWS:
            stages.store.put("exact", row)
        stages.store.delete("exact", ("gone",))
        writer.flush()
        found = {
            one.table: (one.location, plainly(stages.query.execute(f"SELECT * FROM {one.table}").to_pylist()))
            for one in publisher.publish("exact")
        }
        writer.close()
        publisher.close()
    return found


@pytest.mark.parametrize("engine", engines)
@pytest.mark.parametrize("table", ["exact", "exact_history"])
def test_an_engine_reads_what_caudals_sql_shows(published, engine, table):
    location, expected = published[table]
    ran = subprocess.run([PYTHONS[engine], "-W", "ignore", SCRIPT, engine, location], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert json.loads(ran.stdout) == json.loads(json.dumps(expected))


def test_the_rows_are_those_that_were_written(published):
    _, rows = published["exact"]
    expected = [{**row, "tags": None if row["tags"] is None else json.dumps(row["tags"], separators=(",", ":"))} for row in ROWS[:3]]
    for row in expected:
        if row["narrow"] is not None:
            row["narrow"] = row["narrow"].quantize(Decimal("0.01"))
    assert rows == plainly(expected)
