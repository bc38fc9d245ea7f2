"""What caudal writes is what Sail reads, as Spark does: every type, at its ends."""

import base64
import json
import random
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf, nan
from pathlib import Path

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent / "iceberg"))

from iceberg_engines import plainly

from caudal.lake.formats import encode
from caudal.testing.query_lake import EVERY_KIND

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("sail_reads.py")

VALUES = {
    "text": ["a", "", " pad ", "NULL", "null", "\\N", "\\", 'x"y', '\\"', "a,b", "line\nend", "\r\n", "ünï\U0001f600", "007", "1e5", "true"],
    "whole": [0, 2**63 - 1, -(2**63), 2**53 + 1],
    "exact": [Decimal("12345678901234567890123456789012.123456"), Decimal("-0.000001"), Decimal("0.000000")],
    "float": [0.1, -0.0, nan, inf, -inf, 5e-324, 1.7976931348623157e308], "truth": [True, False],
    "day": [date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)],
    "moment": [datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), datetime(1, 1, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, 0, 1, UTC)],
    "raw": [b"", b"\x00\xff", b",\n\""], "nested": ['{"a":[1,"x\\n"]}', "[]", "null", '"\\""'],
}


@pytest.fixture(scope="module")
def written():
    chance = random.Random(3)
    rows = [{name: chance.choice([None, *values]) for name, values in VALUES.items()} for _ in range(300)]
    system = {"_op": "event", "_event_time": datetime(2026, 1, 1, 0, 0, 0, 7, UTC), "_shard": 0}
    return pa.Table.from_pylist(
        [{**row, **system, "_event_id": f"e{n}", "_position": n} for n, row in enumerate(rows)], EVERY_KIND.row_schema
    )


def spark_type(kind):
    """A type in Spark's words; bytes are text in CSV."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"
    return {"int64": "LONG", "int32": "INT", "double": "DOUBLE", "bool": "BOOLEAN", "date32[day]": "DATE"}.get(str(kind), "STRING")


def read(path, kind, rows):
    path.write_bytes(encode(rows, kind, ""))
    columns = ", ".join(f"{field.name} {spark_type(field.type)}" for field in rows.schema)
    ran = subprocess.run([sys.executable, "-W", "ignore", SCRIPT, kind, str(path), columns], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return sorted(json.loads(ran.stdout), key=lambda row: row["_position"])


def words(rows):
    """As JSON text, in which nan is nan."""
    return [json.dumps(row) for row in sorted(json.loads(json.dumps(plainly(rows))), key=lambda row: row["_position"])]


def test_parquet_has_every_value(tmp_path, written):
    assert list(map(json.dumps, read(tmp_path / "rows.parquet", "parquet", written))) == words(written.to_pylist())


def test_csv_has_every_value_but_takes_the_empty_text_for_null(tmp_path, written):
    """Spark tells `""` from nothing, Sail does not yet; bytes are base64."""
    expected = [{**row, "text": row["text"] or None, "raw": base64.b64encode(row["raw"]).decode() if row["raw"] else None}
                for row in written.to_pylist()]
    assert list(map(json.dumps, read(tmp_path / "rows.csv", "csv", written))) == words(expected)
