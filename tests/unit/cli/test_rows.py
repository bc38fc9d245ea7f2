"""A query's rows as a screen, a program or another tool reads them."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caudal.cli.rows import write_rows
from caudal.errors import UsageError

ROWS = pa.table({
    "text": pa.array(["a,b", ""]), "amount": pa.array([Decimal("1.50"), None], pa.decimal128(12, 2)),
    "time": pa.array([datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
    "list": pa.array([[1, 2], None]), "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "flag": pa.array([True, None]), "bytes": pa.array([b"\x00", None]),
})


def printed(capsysbinary, format, rows=ROWS):
    write_rows(rows, format, None)
    return capsysbinary.readouterr().out.decode()


def test_on_screen_null_and_empty_differ(capsysbinary):
    assert printed(capsysbinary, "table").splitlines() == [
        "text  amount  time                        list   map      flag  bytes",
        'a,b     1.50  2026-01-02 03:04:05.000006  [1,2]  {"k":1}  true  "AA=="',
        "        NULL  NULL                        NULL   NULL     NULL  NULL",
    ]


def test_csv_is_in_the_one_dialect(capsysbinary):
    assert printed(capsysbinary, "csv") == (
        'text,amount,time,list,map,flag,bytes\n"a,b",1.50,2026-01-02T03:04:05.000006Z,"[1,2]","{""k"":1}",true,AA==\n"",,,,,,\n'
    )


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_json_has_exact_numbers_and_nulls(capsysbinary, format):
    text = printed(capsysbinary, format)
    first, second = json.loads(text, parse_float=str) if format == "json" else (json.loads(line, parse_float=str) for line in text.splitlines())
    assert first == {"text": "a,b", "amount": "1.50", "time": "2026-01-02T03:04:05.000006Z", "list": [1, 2], "map": {"k": 1},
                     "flag": True, "bytes": "AA=="}
    assert set(second.values()) == {"", None}


@pytest.mark.parametrize(("format", "text"), [("json", "[]\n"), ("jsonl", ""), ("csv", "a\n"), ("table", "a\n")])
def test_no_rows_are_no_error(capsysbinary, format, text):
    assert printed(capsysbinary, format, pa.table({"a": pa.array([], pa.int64())})) == text


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_text("old")
    write_rows(ROWS, "parquet", path)
    assert pq.read_table(path).equals(ROWS) and [one.name for one in tmp_path.iterdir()] == ["rows.parquet"]


@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "parquet"])
def test_two_columns_of_one_name_are_refused_where_one_would_be_lost(format):
    with pytest.raises(UsageError, match="two columns are called a"):
        write_rows(pa.table([[1], [2]], names=["a", "a"]), format, None)


def test_two_columns_of_one_name_may_be_looked_at(capsysbinary):
    assert printed(capsysbinary, "table", pa.table([[1], [2]], names=["a", "a"])) == "a  a\n1  2\n"
