"""What DynamoDB held is what DuckDB, pandas and polars read from our CSV and Parquet, value for value."""

import base64
import io
import json
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caudal.contract import Digits, read_contract
from caudal.ingest.transform import open_transform
from caudal.lake.formats import encode
from caudal.records import Records

pytestmark = pytest.mark.slow


class Anything:
    id: str
    text: str | None
    whole: int | None
    exact: Annotated[Decimal, Digits(38, 10)] | None
    wide: Annotated[Decimal, Digits(38, 0)] | None
    ratio: float | None
    truth: bool | None
    at: datetime | None
    raw: bytes | None
    nested: dict | None


CONTRACT = read_contract(Anything, name="anything", key=["id"], form="dynamodb")

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", "NA", "NULL", "null", "\\N", "007", '"', '""', ",", "\n", "\r", "\r\n", "\\", '\\"', " a ", "#", "'", "\ufeff", "=1+1", "true", "1e5", "\x00"]
)
NUMBERS = st.integers(-(10**38) + 1, 10**38 - 1) | st.sampled_from([0, 2**53 + 1, 10**37, -(2**63)])
MISSING = object()


def decimals(places):
    return st.integers(-(10**38) + 1, 10**38 - 1).map(lambda digits: Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -places)))


FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x == 0 or 1e-120 < abs(x) < 1e120)
NESTED = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), st.integers(-(10**37), 10**37) | TEXTS | st.none() | st.booleans(), max_size=3)


def attribute(value):
    """A value as DynamoDB's JSON has it."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"S": value.isoformat()}
    if isinstance(value, dict):
        return {"M": {name: attribute(member) for name, member in value.items()}}
    return {"N": format(value, "f") if isinstance(value, Decimal) else repr(value)}


def optional(values):
    return st.just(MISSING) | st.none() | values


ITEMS = st.lists(st.fixed_dictionaries({
    "id": st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), "text": optional(TEXTS),
    "whole": optional(st.integers(-(2**63), 2**63 - 1)), "exact": optional(decimals(10)), "wide": optional(NUMBERS), "ratio": optional(FLOATS),
    "truth": optional(st.booleans()), "at": optional(st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC))),
    "raw": optional(st.binary(max_size=8).filter(lambda data: not data or not _is_base64(data))), "nested": optional(NESTED),
}), min_size=1, max_size=5)


def _is_base64(data):
    try:
        return bool(base64.b64decode(data, validate=True))
    except ValueError:
        return False


def rows_of(items):
    lines = [json.dumps({"eventID": f"e{n}", "eventName": "INSERT", "dynamodb": {
        "ApproximateCreationDateTime": 1767225661573 + n, "NewImage": {name: attribute(v) for name, v in item.items() if v is not MISSING},
    }}).encode() for n, item in enumerate(items)]
    done = open_transform("inprocess:", CONTRACT, CONTRACT, None).apply(Records.of(0, 0, lines))
    assert not done.rejected
    return done.rows


def expected(item):
    """The item as its columns hold it, in CSV's words."""
    def word(name, value):
        if value is MISSING or value is None:
            return None
        return {
            "truth": lambda: "true" if value else "false", "raw": lambda: base64.b64encode(value).decode(), "exact": lambda: format(value, "f"),
            "at": lambda: value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z",
        }.get(name, lambda: value)()

    return {name: word(name, value) for name, value in item.items()}


def compare(found, items):
    """Rows of text against items: nested values as JSON, floats as numbers, all else as the very text."""
    for row, item in zip(found, map(expected, items), strict=True):
        for name, value in item.items():
            if value is None:
                assert row[name] is None, name
            elif name == "nested":
                assert json.loads(row[name]) == value
            elif name == "ratio":
                assert float(row[name]) == value
            else:
                assert row[name] == str(value), name


NAMES = [column.name for column in CONTRACT.columns]
some = settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])


@given(ITEMS)
@some
def test_csv_in_duckdb_keeps_every_character_and_tells_null_from_empty(items):
    data = bytes(encode(rows_of(items), "csv", ""))
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(data)
        file.flush()
        found = duckdb.connect().sql(
            "SELECT * FROM read_csv(?, header=true, all_varchar=true, delim=',', quote='\"', escape='\"', nullstr='', allow_quoted_nulls=false,"
            " auto_detect=false, columns=?, parallel=false)",
            params=[file.name, dict.fromkeys(rows_of(items).column_names, "VARCHAR")],
        ).to_arrow_table().to_pylist()
    compare(found, items)


@given(ITEMS)
@some
def test_csv_in_polars_keeps_every_character_and_tells_null_from_empty(items):
    frame = pl.read_csv(io.BytesIO(encode(rows_of(items), "csv", "")), infer_schema=False)
    compare(frame.to_dicts(), items)


@given(ITEMS)
@some
def test_csv_in_pandas_keeps_every_character_where_there_is_a_value(items):
    frame = pd.read_csv(io.BytesIO(encode(rows_of(items), "csv", "")), dtype=str, keep_default_na=False, na_values=[], lineterminator="\n")
    for row, item in zip(frame.to_dict("records"), items, strict=True):
        compare([row], [{name: value for name, value in item.items() if value is not None and value is not MISSING}])
        assert all(row[name] == "" for name, value in item.items() if value is None or value is MISSING)


def typed(item):
    return {name: None if value is MISSING else Decimal(value) if name == "wide" and value is not None else value for name, value in item.items()}


def same(found, items):
    for row, item in zip(found, map(typed, items), strict=True):
        for name, value in item.items():
            got = json.loads(row[name]) if name == "nested" and row[name] is not None else row[name]
            assert got == value and (value is None) == (got is None), name


@given(ITEMS)
@some
def test_parquet_in_duckdb_polars_and_pandas_has_every_value_and_type(items):
    rows = rows_of(items)
    data = encode(rows, "parquet", "")
    same(pa.Table.to_pylist(rows), items)
    same(pl.read_parquet(io.BytesIO(data)).select(NAMES).to_dicts(), items)
    frame = pd.read_parquet(io.BytesIO(data), dtype_backend="pyarrow")[NAMES]
    same([{name: None if value is pd.NA else value for name, value in row.items()} for row in map(dict, pa.Table.from_pandas(frame).to_pylist())], items)


def test_an_instant_is_the_same_microsecond_everywhere():
    at = datetime(2026, 3, 29, 1, 30, 0, 1, UTC) + timedelta(days=1)
    item = dict.fromkeys(NAMES, MISSING) | {"id": "a", "at": at}
    frame = pd.read_parquet(io.BytesIO(encode(rows_of([item]), "parquet", "")))
    assert frame["at"][0].to_pydatetime() == at
