"""Rows as JSON: whole columns at once say what each value alone would."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from caudal.lake.formats.json import flat, json_lines

TEXT = st.text(st.characters(codec="utf-8"))
KINDS = {
    "text": (pa.string(), TEXT), "plain": (pa.string(), st.text("abc é")), "int": (pa.int64(), st.integers(-2**63, 2**63 - 1)),
    "amount": (pa.decimal128(38, 9), st.decimals(places=9, min_value=-10**20, max_value=10**20)),
    "float": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)), "flag": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.dates()), "time": (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "list": (pa.list_(pa.string()), st.lists(TEXT, max_size=3)), "naive": (pa.timestamp("us"), st.datetimes()),
    'odd "name"': (pa.int64(), st.integers(0, 9)),
}


def plain(value):
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value


def read(name, value):
    if value is None:
        return None
    if name in ("time", "naive"):
        assert value.endswith("Z") == (name == "time")
        return datetime.fromisoformat(value).replace(tzinfo=None)
    if name == "day":
        return date.fromisoformat(value)
    return float(value) if name == "float" else value


@given(st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values) in KINDS.items()}), max_size=4))
def test_every_value_comes_back(rows):
    table = pa.Table.from_pylist(rows, pa.schema([(name, kind) for name, (kind, _) in KINDS.items()]))
    lines = list(json_lines(table))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        found = json.loads(line, parse_float=Decimal)
        assert list(found) == list(KINDS)
        assert {name: read(name, value) for name, value in found.items()} == {name: plain(value) for name, value in row.items()}


def test_what_is_no_number_is_null_and_bytes_are_base64():
    table = pa.table({"x": [float("nan"), float("inf"), 1.5], "b": [b"\x00", None, b""], "s": pa.array([1.5, None, 2.0], pa.float32())})
    assert [json.loads(line) for line in json_lines(table)] == [
        {"x": None, "b": "AA==", "s": 1.5}, {"x": None, "b": None, "s": None}, {"x": 1.5, "b": "", "s": 2.0},
    ]


def test_parts_of_a_column_and_slices_are_read_in_their_order():
    column = pa.chunked_array([["a", None], [], ['"']])
    assert list(json_lines(pa.table({"a": column}).slice(1))) == [b'{"a":null}', b'{"a":"\\""}']
    assert flat(pa.table({"a": pa.chunked_array([[[1]], [None]])}))["a"].to_pylist() == ["[1]", None]
